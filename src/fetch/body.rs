//! The bytes behind an address, read on a thread of their own so that silence can be noticed.

use std::io::{ErrorKind, Read, Seek as _, SeekFrom};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use ureq::Agent;
use ureq::http::{Response, StatusCode, header};
use ureq::tls::{RootCerts, TlsConfig};

use super::FetchError;
use crate::base::clock;
use crate::base::files::{self, FileError};
use crate::base::interrupt;

/// What a server has of a file that was received up to some byte.
pub(super) enum Offered {
    /// What comes after it.
    Rest(Body),
    /// Everything, from the first byte.
    Whole(Body),
    /// Nothing beyond it.
    Nothing,
}

/// Bytes on their way.
pub(super) struct Body {
    /// As promised; absent where nothing was.
    pub(super) length: Option<u64>,
    chunks: Receiver<std::io::Result<Vec<u8>>>,
}

const CHUNK: usize = 1 << 16;
const MOST_REDIRECTS: u32 = 10;

/// How often waiting looks whether the process was asked to stop.
const GLANCE: Duration = Duration::from_millis(100);

/// Asks for the bytes of `url` from `offset` on.
pub(super) fn open(url: &str, offset: u64, patience: Duration) -> Result<Offered, FetchError> {
    match url.strip_prefix("file://") {
        Some(path) => open_file(Path::new(path.strip_prefix("localhost").unwrap_or(path)), offset),
        None => open_http(url, offset, patience),
    }
}

fn open_file(path: &Path, offset: u64) -> Result<Offered, FetchError> {
    let mut file = files::open(path)?;
    let wrong = |e| FileError::new("read", path, e);
    let length = file.metadata().map_err(wrong)?.len();
    if offset >= length && length > 0 {
        return Ok(Offered::Nothing);
    }
    file.seek(SeekFrom::Start(offset)).map_err(wrong)?;
    let body = Body::of(file, Some(length - offset));
    Ok(if offset == 0 { Offered::Whole(body) } else { Offered::Rest(body) })
}

fn open_http(url: &str, offset: u64, patience: Duration) -> Result<Offered, FetchError> {
    let (sender, answer) = sync_channel(1);
    let asked = url.to_owned();
    // On a thread of its own, as reading is: connecting can take as long.
    thread::spawn(move || drop(sender.send(ask(&asked, offset, patience))));
    let silent = || FetchError::Stalled { url: url.to_owned(), seconds: patience.as_secs() };
    // Asking has its own limits, one for each address that a redirect leads to.
    let response = match heard(&answer, url, None)?.ok_or_else(silent)? {
        Ok(response) => response,
        Err(ureq::Error::Timeout(_)) => return Err(silent()),
        // The verifiers of the platforms say why in their own debugging text.
        Err(ureq::Error::Io(error)) if error.to_string().contains("invalid peer certificate") => {
            return Err(FetchError::Untrusted { url: url.to_owned() });
        }
        Err(error @ (ureq::Error::BadUri(_) | ureq::Error::TooManyRedirects)) => {
            return Err(FetchError::Astray { url: url.to_owned(), reason: error.to_string() });
        }
        Err(error) => return Err(FetchError::Unreachable { url: url.to_owned(), reason: error.to_string() }),
    };
    let status = response.status();
    let length = number(response.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()));
    let rest = status == StatusCode::PARTIAL_CONTENT && starts_at(&response) == Some(offset);
    match status {
        StatusCode::OK => Ok(Offered::Whole(Body::of(response.into_body().into_reader(), length))),
        _ if rest => Ok(Offered::Rest(Body::of(response.into_body().into_reader(), length))),
        StatusCode::RANGE_NOT_SATISFIABLE => Ok(Offered::Nothing),
        other => Err(FetchError::Refused { url: url.to_owned(), status: other.as_u16() }),
    }
}

/// What a thread sends, or `None` when it has ended. Where there is a patience, it has an end.
fn heard<T>(thread: &Receiver<T>, url: &str, patience: Option<Duration>) -> Result<Option<T>, FetchError> {
    let began = clock::tick();
    loop {
        interrupt::check().map_err(|_| FetchError::Interrupted)?;
        match thread.recv_timeout(GLANCE) {
            Ok(sent) => return Ok(Some(sent)),
            Err(RecvTimeoutError::Disconnected) => return Ok(None),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if let Some(patience) = patience.filter(|patience| began.elapsed() > *patience) {
            return Err(FetchError::Stalled { url: url.to_owned(), seconds: patience.as_secs() });
        }
    }
}

fn ask(url: &str, offset: u64, patience: Duration) -> Result<Response<ureq::Body>, ureq::Error> {
    let agent: Agent = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(MOST_REDIRECTS)
        .timeout_connect(Some(patience))
        .timeout_recv_response(Some(patience))
        .user_agent(concat!("requant/", env!("CARGO_PKG_VERSION")))
        // The system's certificates, so that what its browser trusts is trusted here.
        .tls_config(TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build())
        .build()
        .into();
    let request = agent.get(url).header(header::ACCEPT_ENCODING, "identity");
    if offset > 0 { request.header(header::RANGE, format!("bytes={offset}-")).call() } else { request.call() }
}

fn number(text: Option<&str>) -> Option<u64> {
    text?.trim().parse().ok()
}

/// The first byte of `Content-Range: bytes FIRST-LAST/TOTAL`.
fn starts_at(response: &Response<ureq::Body>) -> Option<u64> {
    let range = response.headers().get(header::CONTENT_RANGE)?.to_str().ok()?;
    number(range.strip_prefix("bytes ")?.split('-').next())
}

impl Body {
    fn of(mut reader: impl Read + Send + 'static, length: Option<u64>) -> Self {
        let (sender, chunks) = sync_channel(4);
        // Where the reader stalls for ever the thread does too; it goes with the process.
        thread::spawn(move || {
            loop {
                let mut chunk = vec![0; CHUNK];
                let read = match reader.read(&mut chunk) {
                    Ok(0) => return,
                    Ok(read) => Ok(read),
                    Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                    Err(error) => Err(error),
                };
                let failed = read.is_err();
                let chunk = read.map(|read| {
                    chunk.truncate(read);
                    chunk
                });
                if sender.send(chunk).is_err() || failed {
                    return;
                }
            }
        });
        Self { length, chunks }
    }

    /// The next bytes; `None` at the end. An early end shows in the length received.
    pub(super) fn next(&mut self, url: &str, patience: Duration) -> Result<Option<Vec<u8>>, FetchError> {
        match heard(&self.chunks, url, Some(patience))? {
            Some(Ok(chunk)) => Ok(Some(chunk)),
            // A connection that breaks off ends the body; how much is missing is known above.
            Some(Err(error)) if self.length.is_some() && broke_off(&error) => Ok(None),
            Some(Err(error)) => Err(FetchError::Unreachable { url: url.to_owned(), reason: error.to_string() }),
            None => Ok(None),
        }
    }
}

fn broke_off(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted)
}
