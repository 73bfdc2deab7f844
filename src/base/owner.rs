//! A process as no other process of this or another machine, so that whoever finds what it left can tell whether
//! it still lives.

use std::path::Path;

use super::digest::Digest;
use super::files;

/// This process: `PID-START-HOST`.
#[must_use]
pub fn this() -> String {
    let pid = std::process::id().to_string();
    format!("{pid}-{}-{}", start_of(&pid).unwrap_or_default(), host())
}

/// Whether a process lives. A shared folder may name processes of other machines, which cannot be seen from here:
/// those are taken to live.
#[must_use]
pub fn lives(owner: &str) -> bool {
    if !is_of_this_host(owner) {
        return true;
    }
    let mut words = owner.split('-');
    let (pid, start) = (words.next().unwrap_or_default(), words.next());
    // A number may have been given to another process since.
    start_of(pid).is_some_and(|now| start.is_none_or(|then| then == now))
}

/// The number of a process of this machine that lives.
#[must_use]
pub fn pid(owner: &str) -> Option<i32> {
    (is_of_this_host(owner) && lives(owner)).then(|| owner.split('-').next()?.parse().ok()).flatten()
}

/// Whether the process is one of this machine; a name without a host is.
#[must_use]
pub fn is_of_this_host(owner: &str) -> bool {
    owner.split('-').nth(2).is_none_or(|name| name == host())
}

/// When a process began, in ticks since the machine did; `None` where there is none of that number.
fn start_of(pid: &str) -> Option<String> {
    let pid: u32 = pid.parse().ok()?;
    let stat = files::read_text(Path::new(&format!("/proc/{pid}/stat"))).ok()?;
    // The second field is the program's name in brackets, which may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    // One that has ended and waits for its parent to hear of it does nothing any more.
    let state = fields.next()?;
    (state != "Z" && state != "X").then(|| fields.nth(18).map(str::to_owned)).flatten()
}

/// Stands for the machine's name, which may hold anything, and for the container in which process numbers mean
/// what they do here.
fn host() -> String {
    let name = files::read(Path::new("/proc/sys/kernel/hostname")).unwrap_or_default();
    let numbers = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    Digest::of_parts([name.as_slice(), numbers.as_os_str().as_encoded_bytes()]).short()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_told_from_one_of_its_number() {
        let own = this();
        let (pid_text, rest) = own.split_once('-').unwrap();
        let (start, host) = rest.split_once('-').unwrap();
        for (owner, is_dead) in [
            ("4194399".to_owned(), true),
            (format!("4194399-1-{host}"), true),
            (format!("{pid_text}-{start}0-{host}"), true),
            (own.clone(), false),
            (format!("4194399-1-not{host}"), false),
        ] {
            assert_eq!(!lives(&owner), is_dead, "{owner}");
        }
        assert_eq!(pid(&own), pid_text.parse().ok());
        assert_eq!(pid(&format!("4194399-1-not{host}")), None, "another machine's");
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let number = child.id().to_string();
        // Ended, and nobody has asked how: its number is still its own.
        while !files::read_text(Path::new(&format!("/proc/{number}/stat"))).unwrap().contains(") Z") {}
        assert!(!lives(&number));
        child.wait().unwrap();
        assert!(!lives(&number));
    }
}
