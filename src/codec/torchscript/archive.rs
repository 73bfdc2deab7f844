//! The zip around a module: stored, not compressed, with fixed dates and a fixed order.

use std::io::{Cursor, Write as _};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::pickle;
use super::source::{CLASS, Module};

/// Archive format that libtorch reads; unchanged since PyTorch 1.6.
const VERSION: &[u8] = b"3\n";

/// libtorch aligns tensor data so that it could be mapped.
const ALIGNMENT: u16 = 64;

/// The archive could not be assembled.
#[derive(Debug, thiserror::Error)]
#[error("cannot assemble the TorchScript archive: {0}")]
pub struct ArchiveError(#[from] zip::result::ZipError);

impl From<std::io::Error> for ArchiveError {
    fn from(error: std::io::Error) -> Self {
        Self(error.into())
    }
}

pub(super) fn write(module: &Module) -> Result<Vec<u8>, ArchiveError> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(DateTime::default())
        .unix_permissions(0o644)
        .with_alignment(ALIGNMENT);
    let mut put = |name: String, content: &[u8]| -> Result<(), ArchiveError> {
        zip.start_file(format!("requant/{name}"), options)?;
        Ok(zip.write_all(content)?)
    };
    put("data.pkl".into(), &pickle::module(CLASS, &module.tensors))?;
    put("code/__torch__.py".into(), module.code.as_bytes())?;
    for (key, tensor) in module.tensors.iter().enumerate() {
        put(format!("data/{key}"), &tensor.data().to_le_bytes())?;
    }
    put("constants.pkl".into(), &pickle::no_constants())?;
    put("version".into(), VERSION)?;
    Ok(zip.finish()?.into_inner())
}
