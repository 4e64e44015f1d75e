//! `probe`: what runs in the pods of a lab's story: a server that says who it is, and a client that asks it ten times a second.
//!
//! A client writes a line for each question into a file: milliseconds since the epoch when it was asked, how long the answer took in
//! milliseconds, and `ok NAME` or `failed WHY`. A line `start` says that the client was started. Whoever reads the files finds the
//! gaps: nothing is summed up here.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    path::Path,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crate::error::{Error, Result};

/// Time between two questions.
pub(crate) const PERIOD: Duration = Duration::from_millis(100);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long an answer on a connection that is held may take.
const HELD_PATIENCE: Duration = Duration::from_secs(5);

pub(crate) const USAGE: &str = "\
usage: ovncilium-e2e probe serve PORT NAME | ask FOLDER TARGET...

  serve PORT NAME       answer every line by TCP and every datagram by UDP with NAME
  ask FOLDER TARGET     ask ten times a second, until killed; a file for each target in FOLDER
      TARGET            NAME=KIND:ADDRESS:PORT; KIND is new (a connection for each question), held (one connection), udp,
                        or dns (a question that any server of DNS answers)";

/// How a target is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    New,
    Held,
    Udp,
    Dns,
}

/// A command of `probe`; it returns only when it fails.
///
/// # Errors
/// [`Error::Io`] on its files and sockets, [`Error::Expectation`] when the arguments are none.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words[..] {
        ["serve", port, name] => match port.parse() {
            Ok(port) => serve(port, name),
            Err(_) => Err(Error::Expectation(format!("`{port}` is no port"))),
        },
        ["ask", folder, ref targets @ ..] if !targets.is_empty() => ask(Path::new(folder), targets),
        _ => Err(Error::Expectation(USAGE.to_owned())),
    }
}

fn serve(port: u16, name: &str) -> Result<()> {
    let at = SocketAddr::from(([0, 0, 0, 0], port));
    let socket = UdpSocket::bind(at).map_err(Error::io("listen on", at.to_string()))?;
    let listener = TcpListener::bind(at).map_err(Error::io("listen on", at.to_string()))?;
    let answer = format!("{name}\n").into_bytes();
    let by_udp = answer.clone();
    thread::spawn(move || {
        let mut question = [0; 512];
        while let Ok((_, from)) = socket.recv_from(&mut question) {
            // Who asks again will be answered again.
            let _lost = socket.send_to(&by_udp, from);
        }
    });
    for connection in listener.incoming() {
        let connection = connection.map_err(Error::io("accept on", at.to_string()))?;
        let answer = answer.clone();
        thread::spawn(move || converse(connection, &answer));
    }
    Ok(())
}

fn converse(mut connection: TcpStream, answer: &[u8]) -> io::Result<()> {
    let mut lines = BufReader::new(connection.try_clone()?);
    let mut line = String::new();
    while lines.read_line(&mut line)? > 0 {
        connection.write_all(answer)?;
        line.clear();
    }
    Ok(())
}

fn ask(folder: &Path, targets: &[&str]) -> Result<()> {
    let mut clients = Vec::new();
    for target in targets {
        let (name, kind, address) =
            parse(target).ok_or_else(|| Error::Expectation(format!("`{target}` is no target\n{USAGE}")))?;
        let path = folder.join(name);
        let mut file = OpenOptions::new().create(true).append(true).open(&path).map_err(Error::io("open", &path))?;
        file.write_all(format!("{} start\n", now()).as_bytes()).map_err(Error::io("write", &path))?;
        clients.push(thread::spawn(move || ask_one(&mut file, kind, address).map_err(Error::io("write", path))));
    }
    for client in clients {
        client.join().map_err(|_| Error::Expectation("a client panicked".to_owned()))??;
    }
    Ok(())
}

fn parse(target: &str) -> Option<(&str, Kind, SocketAddr)> {
    let (name, rest) = target.split_once('=')?;
    let (kind, address) = rest.split_once(':')?;
    let kind = match kind {
        "new" => Kind::New,
        "held" => Kind::Held,
        "udp" => Kind::Udp,
        "dns" => Kind::Dns,
        _ => return None,
    };
    Some((name, kind, address.parse().ok()?))
}

fn ask_one(file: &mut File, kind: Kind, address: SocketAddr) -> io::Result<()> {
    let mut held = None;
    let mut number = 0_u64;
    loop {
        let asked = Instant::now();
        let at = now();
        number += 1;
        let answer = match kind {
            Kind::New => connect(address).and_then(|mut connection| question(&mut connection)),
            Kind::Held => by_held(&mut held, address),
            Kind::Udp => by_udp(address, format!("who {number}\n").as_bytes()),
            Kind::Dns => by_udp(address, DNS_QUESTION).map(|_| "dns".to_owned()),
        };
        let took = asked.elapsed();
        let said = match answer {
            Ok(name) => format!("ok {name}"),
            Err(error) => format!("failed {}", error.to_string().replace('\n', " ")),
        };
        // In one write: a pod that is ended writes a whole line or none.
        file.write_all(format!("{at} {} {said}\n", took.as_millis()).as_bytes())?;
        thread::sleep(PERIOD.saturating_sub(took));
    }
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let connection = TcpStream::connect_timeout(&address, PATIENCE)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.set_write_timeout(Some(PATIENCE))?;
    Ok(connection)
}

fn question(connection: &mut TcpStream) -> io::Result<String> {
    connection.write_all(b"who\n")?;
    let mut answer = Vec::new();
    let mut byte = [0];
    while byte[0] != b'\n' {
        if connection.read(&mut byte)? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection was closed"));
        }
        answer.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&answer).trim().to_owned())
}

/// One connection as long as it lasts: that it ended is a failed question.
fn by_held(held: &mut Option<TcpStream>, address: SocketAddr) -> io::Result<String> {
    let mut connection = match held.take() {
        Some(connection) => connection,
        None => {
            let connection = connect(address)?;
            // What was lost is sent again: only silence for long means that it broke.
            connection.set_read_timeout(Some(HELD_PATIENCE))?;
            connection
        }
    };
    let answer = question(&mut connection)?;
    *held = Some(connection);
    Ok(answer)
}

/// For the address of `kubernetes.default.svc.cluster.local`.
const DNS_QUESTION: &[u8] = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x0akubernetes\x07default\x03svc\x07cluster\x05local\x00\x00\x01\x00\x01";

fn by_udp(address: SocketAddr, question: &[u8]) -> io::Result<String> {
    let socket = UdpSocket::bind(("0.0.0.0", 0))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.connect(address)?;
    socket.send(question)?;
    let mut answer = [0; 512];
    let length = socket.recv(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer[..length]).trim().to_owned())
}

/// Milliseconds since the epoch.
pub(crate) fn now() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_has_name_kind_and_address() {
        let (name, kind, address) = parse("db-0=held:10.16.0.7:9000").unwrap();
        assert_eq!((name, kind, address.port()), ("db-0", Kind::Held, 9000));
        for wrong in ["10.16.0.7:9000", "a=tcp:10.16.0.7:9000", "a=new:10.16.0.7"] {
            assert!(parse(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn every_kind_is_answered_by_the_server_and_not_without_it() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        assert!(connect(address).is_err());
        thread::spawn(move || serve(port, "me"));
        let end = Instant::now() + Duration::from_secs(10);
        while connect(address).is_err() && Instant::now() < end {
            thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(connect(address).and_then(|mut c| question(&mut c)).unwrap(), "me");
        assert_eq!(by_udp(address, b"who 1\n").unwrap(), "me");
        let mut held = None;
        for _ in 0..2 {
            assert_eq!(by_held(&mut held, address).unwrap(), "me");
        }
        assert!(held.is_some());
    }
}
