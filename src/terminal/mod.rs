//! What a person sees while requant works: text, progress, complaints, and the exit code. The only room that prints.

pub mod complaint;
mod exit;
pub mod gauge;
mod print;
pub mod progress;

pub use exit::Exit;
pub use print::{eprint, plain, print, print_json, print_raw};
