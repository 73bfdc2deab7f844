use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use lab::{Bench, Ended};
use requant::base::digest::Digest;
use requant::base::files;

/// What a client asked for: the path, and the first byte it wants.
struct Asked {
    path: String,
    from: usize,
    /// The how manieth request this is, from 1.
    number: usize,
}

/// A server on the loopback that answers each connection with `answer`, and counts them.
fn serve(answer: impl Fn(&Asked, &mut TcpStream) + Send + Sync + 'static) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&count);
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let number = seen.fetch_add(1, Ordering::SeqCst) + 1;
            let answer = Arc::clone(&answer);
            thread::spawn(move || {
                let mut stream = stream;
                if let Some(asked) = request(&stream, number) {
                    answer(&asked, &mut stream);
                }
            });
        }
    });
    (address, count)
}

fn request(stream: &TcpStream, number: usize) -> Option<Asked> {
    let mut lines = BufReader::new(stream.try_clone().ok()?).lines().map_while(Result::ok);
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let headers: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let range =
        headers.iter().find_map(|line| line.to_ascii_lowercase().strip_prefix("range: bytes=").map(str::to_owned));
    let from = range.and_then(|range| range.trim_end_matches('-').parse().ok()).unwrap_or(0);
    Some(Asked { path, from, number })
}

/// Whatever goes wrong in a client that has gone is not the server's business.
fn send(stream: &mut TcpStream, head: &str, body: &[u8]) {
    let _ = stream.write_all(format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n").as_bytes());
    let _ = stream.write_all(body);
    let _ = stream.flush();
}

fn content() -> Vec<u8> {
    (0..300_000_u32).flat_map(|i| i.wrapping_mul(i).to_le_bytes()).collect()
}

/// All of it, or the rest, as a good server does.
fn well(asked: &Asked, stream: &mut TcpStream) {
    let content = content();
    let (length, total) = (content.len() - asked.from, content.len());
    let head = match asked.from {
        0 => format!("200 OK\r\nContent-Length: {length}"),
        from => format!(
            "206 Partial Content\r\nContent-Length: {length}\r\nContent-Range: bytes {from}-{}/{total}",
            total - 1
        ),
    };
    send(stream, &head, &content[asked.from..]);
}

/// A manifest whose `data/d.csv` comes from this address.
fn manifest(bench: &Bench, url: &str) {
    manifest_with(bench, url, "");
}

/// The same, `more` within the table of the source.
fn manifest_with(bench: &Bench, url: &str, more: &str) {
    let digest = Digest::of(&content());
    let source = format!(
        "path = \"data/d.csv\"\nsource = {{ url = \"{url}\", sha256 = \"{digest}\"{more} }}\nsplits = {{ train = \"0..1\", test = \"1..2\" }}"
    );
    bench.on_pictures(&[("image-folder", "csv"), ("path = \"data\"", &source)]);
}

fn fetch(bench: &Bench, url: &str) -> Ended {
    manifest(bench, url);
    bench.run(&["fetch", "m.toml", "--timeout", "1"])
}

/// What lies in the data folder.
fn there(bench: &Bench) -> Vec<String> {
    files::list(&bench.path("data")).unwrap_or_default()
}

fn arrived(bench: &Bench) -> bool {
    there(bench) == ["d.csv"] && files::read(&bench.path("data/d.csv")).unwrap() == content()
}

#[test]
fn a_file_arrives_whole_and_is_not_fetched_twice() {
    let bench = Bench::new();
    let (address, asked) = serve(well);
    let before = {
        fetch(&bench, "file:///nowhere");
        bench.run(&["check", "m.toml"])
    };
    let ended = fetch(&bench, &format!("{address}/d.csv"));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.stdout, "data/d.csv: fetched, 1.20 MB\n");
    assert!(arrived(&bench));
    assert_eq!(fetch(&bench, &format!("{address}/d.csv")).stdout, "data/d.csv: already there\n");
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    assert!(
        before.stderr.contains("`data/d.csv` is not here yet") && before.stderr.contains("requant fetch m.toml"),
        "{before:?}"
    );
}

#[test]
fn a_file_address_is_copied() {
    let bench = Bench::new();
    let path = bench.put("elsewhere.bin", &content());
    let ended = fetch(&bench, &format!("file://{}", path.display()));
    assert!(ended.code == Some(0) && arrived(&bench), "{ended:?}");
}

#[test]
fn what_breaks_off_is_taken_up_again() {
    let bench = Bench::new();
    // Every connection ends after a third of the file, whatever was promised.
    let (address, asked) = serve(|asked, stream| {
        let content = content();
        let end = (asked.from + content.len() / 3 + 1).min(content.len());
        let head = match asked.from {
            0 => format!("200 OK\r\nContent-Length: {}", content.len()),
            from => format!(
                "206 Partial Content\r\nContent-Length: {}\r\nContent-Range: bytes {from}-{}/*",
                content.len() - from,
                content.len() - 1
            ),
        };
        send(stream, &head, &content[asked.from..end]);
    });
    let ended = fetch(&bench, &address);
    assert!(ended.code == Some(0) && arrived(&bench), "{ended:?}");
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}

#[test]
fn a_later_call_goes_on_where_an_earlier_one_stopped() {
    let bench = Bench::new();
    bench.put("data/d.csv.part", &content()[..500_000]);
    let (address, _) = serve(|asked, stream| {
        assert_eq!(asked.from, 500_000);
        well(asked, stream);
    });
    let ended = fetch(&bench, &address);
    assert_eq!(ended.stdout, "data/d.csv: fetched, 1.20 MB, of which 0.50 MB were there\n", "{ended:?}");
    assert!(arrived(&bench));
}

#[test]
fn a_leftover_of_another_version_is_started_over() {
    let bench = Bench::new();
    bench.put("data/d.csv.part", &vec![9; 500_000]);
    let (address, asked) = serve(well);
    let ended = fetch(&bench, &address);
    assert!(ended.code == Some(0) && arrived(&bench), "{ended:?}");
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    // A leftover that is longer than the file, and a server that says so.
    let bench = Bench::new();
    bench.put("data/d.csv.part", &vec![9; 2_000_000]);
    let (address, _) = serve(|asked, stream| match asked.from {
        0 => well(asked, stream),
        _ => send(stream, "416 Range Not Satisfiable\r\nContent-Length: 0", b""),
    });
    let ended = fetch(&bench, &address);
    assert!(ended.code == Some(0) && arrived(&bench), "{ended:?}");
}

#[test]
fn a_server_without_ranges_sends_everything_again() {
    let bench = Bench::new();
    bench.put("data/d.csv.part", &content()[..500_000]);
    let (address, _) =
        serve(|asked, stream| well(&Asked { from: 0, path: String::new(), number: asked.number }, stream));
    let ended = fetch(&bench, &address);
    assert!(ended.code == Some(0) && arrived(&bench), "{ended:?}");
}

#[test]
fn a_server_that_cannot_go_on_in_the_middle_is_asked_for_everything() {
    for refusal in ["416 Range Not Satisfiable", "400 Bad Request", "501 Not Implemented"] {
        let bench = Bench::new();
        let (address, asked) = serve(move |asked, stream| match (asked.from, asked.number) {
            (0, 1) => {
                send(stream, &format!("200 OK\r\nContent-Length: {}", content().len()), &content()[..400_000]);
            }
            (0, _) => well(asked, stream),
            _ => send(stream, &format!("{refusal}\r\nContent-Length: 0"), b""),
        });
        let ended = fetch(&bench, &address);
        assert!(ended.code == Some(0) && arrived(&bench), "{refusal}: {ended:?}");
        assert_eq!(asked.load(Ordering::SeqCst), 3, "{refusal}");
    }
}

#[test]
fn nothing_grows_beyond_what_the_manifest_says() {
    let promised = |stream: &mut TcpStream| send(stream, "200 OK\r\nContent-Length: 1200000", &content());
    let unpromised = |stream: &mut TcpStream| send(stream, "200 OK", &content());
    for (bytes, answer) in [(1_199_999, promised as fn(&mut TcpStream)), (1_000_000, unpromised), (1, promised)] {
        let bench = Bench::new();
        let (address, _) = serve(move |_, stream| answer(stream));
        manifest_with(&bench, &address, &format!(", bytes = {bytes}"));
        let ended = bench.run(&["fetch", "m.toml", "--timeout", "5"]);
        assert!(
            ended.code == Some(2) && ended.stderr.contains(&format!("has more than the {bytes} bytes")),
            "{ended:?}"
        );
        assert!(ended.stderr.contains("`source.bytes`"), "{ended:?}");
        assert_eq!(there(&bench), Vec::<String>::new());
    }
}

#[test]
fn a_server_that_gives_up_for_good_is_named_and_the_part_kept() {
    let bench = Bench::new();
    let (address, asked) = serve(|asked, stream| {
        let content = content();
        match asked.from {
            0 => send(stream, &format!("200 OK\r\nContent-Length: {}", content.len()), &content[..1000]),
            from => send(
                stream,
                &format!(
                    "206 Partial Content\r\nContent-Length: {}\r\nContent-Range: bytes {from}-/*",
                    content.len() - from
                ),
                b"",
            ),
        }
    });
    let ended = fetch(&bench, &address);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(
        ended.stderr.contains("broke off after 1000 of 1200000 bytes") && ended.stderr.contains("run again"),
        "{ended:?}"
    );
    assert!(ended.stderr.contains("--> m.toml:11:18"), "{ended:?}");
    assert_eq!((there(&bench), asked.load(Ordering::SeqCst)), (vec!["d.csv.part".to_owned()], 2));
}

#[test]
fn wrong_bytes_never_get_the_name() {
    for short in [0, 7] {
        let bench = Bench::new();
        let (address, asked) = serve(move |_, stream| {
            let mut content = content();
            content[70_000] ^= 1;
            content.truncate(content.len() - short);
            send(stream, &format!("200 OK\r\nContent-Length: {}", content.len()), &content);
        });
        let ended = fetch(&bench, &address);
        assert_eq!(ended.code, Some(5), "{ended:?}");
        assert!(ended.stderr.contains("gave a file with ") && ended.stderr.contains("nothing was kept"), "{ended:?}");
        assert_eq!((there(&bench), asked.load(Ordering::SeqCst)), (Vec::new(), 1));
    }
}

#[test]
fn a_length_that_is_too_small_is_found_out() {
    let bench = Bench::new();
    let (address, _) = serve(|_, stream| send(stream, "200 OK\r\nContent-Length: 1000", &content()));
    let ended = fetch(&bench, &address);
    assert_eq!(ended.code, Some(5), "{ended:?}");
    assert_eq!(there(&bench), Vec::<String>::new());
}

#[test]
fn an_answer_without_a_length_is_read_to_its_end() {
    let bench = Bench::new();
    let (address, _) = serve(|_, stream| send(stream, "200 OK", &content()));
    let ended = fetch(&bench, &address);
    assert!(ended.code == Some(0) && arrived(&bench), "{ended:?}");
}

#[test]
fn redirects_are_followed_but_not_for_ever() {
    let bench = Bench::new();
    let (address, _) = serve(|asked, stream| match asked.path.as_str() {
        "/there" => well(asked, stream),
        "/here" => send(stream, "302 Found\r\nLocation: /there\r\nContent-Length: 0", b""),
        _ => send(stream, "302 Found\r\nLocation: /round\r\nContent-Length: 0", b""),
    });
    let ended = fetch(&bench, &format!("{address}/round"));
    assert!(ended.code == Some(2) && ended.stderr.contains("leads nowhere: too many redirects"), "{ended:?}");
    let ended = fetch(&bench, &format!("{address}/here"));
    assert!(ended.code == Some(0) && arrived(&bench), "{ended:?}");
}

#[test]
fn a_redirect_does_not_reach_files() {
    let bench = Bench::new();
    let (address, _) =
        serve(|_, stream| send(stream, "302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0", b""));
    let ended = fetch(&bench, &address);
    assert!(ended.code == Some(2) && ended.stderr.contains("leads nowhere"), "{ended:?}");
    assert_eq!(there(&bench), Vec::<String>::new());
}

#[test]
#[expect(unsafe_code, reason = "sends a signal to our own child")]
fn an_interrupt_is_heard_while_nothing_is() {
    let bench = Bench::new();
    let (address, asked) = serve(|_, _| thread::sleep(Duration::from_secs(60)));
    manifest(&bench, &address);
    let mut child = bench.command(&["fetch", "m.toml", "--timeout", "50"]).spawn().unwrap();
    while asked.load(Ordering::SeqCst) == 0 {
        thread::sleep(Duration::from_millis(10));
    }
    // SAFETY: a plain signal to a process that we started and have not yet waited for.
    unsafe { libc::kill(libc::pid_t::try_from(child.id()).unwrap(), libc::SIGINT) };
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn silence_is_given_up_and_what_came_is_kept() {
    for head_only in [false, true] {
        let bench = Bench::new();
        let (address, _) = serve(move |_, stream| {
            if !head_only {
                send(stream, "200 OK\r\nContent-Length: 1200000", &content()[..2000]);
            }
            thread::sleep(Duration::from_secs(30));
        });
        let ended = fetch(&bench, &address);
        assert!(ended.code == Some(2) && ended.stderr.contains("said nothing for 1 s"), "{ended:?}");
        let kept = files::read(&bench.path("data/d.csv.part")).unwrap_or_default();
        assert_eq!(kept, content()[..if head_only { 0 } else { 2000 }]);
    }
}

#[test]
fn refusals_and_closed_doors_are_named() {
    let bench = Bench::new();
    let (address, _) = serve(|_, stream| send(stream, "404 Not Found\r\nContent-Length: 0", b""));
    let ended = fetch(&bench, &address);
    assert!(ended.code == Some(2) && ended.stderr.contains("answered with status 404"), "{ended:?}");
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ended = fetch(&bench, &format!("http://{closed}/"));
    assert!(ended.code == Some(2) && ended.stderr.contains("cannot be reached"), "{ended:?}");
    let (address, _) = serve(|_, stream| {
        let _ = stream.write_all(b"this is no HTTP\r\n\r\n");
    });
    let ended = fetch(&bench, &address);
    assert_eq!(ended.code, Some(2), "{ended:?}");
}

#[test]
fn a_file_that_is_there_is_never_overwritten() {
    let bench = Bench::new();
    let (address, asked) = serve(well);
    bench.put("data/d.csv", b"my own");
    let ended = fetch(&bench, &address);
    assert!(ended.code == Some(5) && ended.stderr.contains("exists with another content"), "{ended:?}");
    assert_eq!(
        (files::read(&bench.path("data/d.csv")).unwrap(), asked.load(Ordering::SeqCst)),
        (b"my own".to_vec(), 0)
    );
}
