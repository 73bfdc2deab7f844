//! Asking the loader whether a shared library is there, without running anything from it.

use std::ffi::CString;

/// Whether the loader finds a library of this name.
#[expect(unsafe_code, reason = "dlopen is the only way to ask the loader")]
pub(super) fn found(name: &str) -> bool {
    let Ok(name) = CString::new(name) else { return false };
    // SAFETY: the name is a valid C string; the handle is closed at once and never called into.
    unsafe {
        let handle = libc::dlopen(name.as_ptr(), libc::RTLD_LAZY | libc::RTLD_LOCAL);
        if handle.is_null() {
            return false;
        }
        libc::dlclose(handle);
    }
    true
}
