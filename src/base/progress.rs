//! How far long reading has come, told from whatever thread does it.

use std::io::{self, Read};

/// Where bytes are counted.
pub trait Meter: Sync {
    /// So many more bytes will be read.
    fn expect(&self, bytes: u64);

    /// So many of them have been.
    fn add(&self, bytes: u64);
}

/// Counts nothing.
#[derive(Debug, Clone, Copy)]
pub struct Unmetered;

impl Meter for Unmetered {
    fn expect(&self, _: u64) {}
    fn add(&self, _: u64) {}
}

/// A reader whose bytes are counted.
pub struct Counted<'a, R> {
    inner: R,
    meter: &'a dyn Meter,
}

impl<'a, R> Counted<'a, R> {
    pub fn new(inner: R, meter: &'a dyn Meter) -> Self {
        Self { inner, meter }
    }
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.meter.add(read as u64);
        Ok(read)
    }
}
