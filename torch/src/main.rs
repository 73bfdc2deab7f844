//! requant with libtorch linked. `requant` starts it where a verb needs an engine.

use std::io::{self, Write as _};
use std::panic;

use requant::cli;
use requant::terminal::Exit;

fn main() {
    requant_torch::install();
    let exit = panic::catch_unwind(cli::main).unwrap_or(Exit::Bug);
    // A reader that has gone away is not an error.
    let _ = io::stdout().flush();
    #[expect(unsafe_code, reason = "libraries in C and C++ have buffers of their own")]
    // SAFETY: with no stream named, all are written out.
    unsafe {
        libc::fflush(std::ptr::null_mut());
    }
    // At once: libtorch would take its tables apart, a tenth of a second for nothing, beside threads that may use them.
    signal_hook::low_level::exit(i32::from(exit.code()));
}
