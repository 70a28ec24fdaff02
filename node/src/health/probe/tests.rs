use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};

fn surroundings() -> Surroundings {
    let environment = BTreeMap::from([("WHO".to_owned(), "web-1".to_owned())]);
    Surroundings { environment, directory: "/".into(), user: None }
}

async fn ask(probe: Probe, timeout: Duration) -> Result<(), String> {
    let check = HealthCheck { name: "check".to_owned(), timeout, probe };
    Question::new(&check, &surroundings()).expect("a question").ask().await
}

const LONG: Duration = Duration::from_secs(20);

/// Answers every request with this text, and hangs up.
async fn server(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 1024];
            let _length = stream.read(&mut request).await;
            let _gone = stream.write_all(answer.as_bytes()).await;
        }
    });
    format!("http://{address}/health")
}

fn http(url: &str, body: Option<&str>) -> Probe {
    Probe::Http { url: url.to_owned(), status: 200, body: body.map(str::to_owned) }
}

fn shell(script: &str) -> Probe {
    Probe::Exec { command: vec!["/bin/sh".to_owned(), "-c".to_owned(), script.to_owned()] }
}

#[tokio::test]
async fn http_wants_the_status_and_the_body() {
    let url = server("HTTP/1.1 200 OK\r\nContent-Length: 8\r\nConnection: close\r\n\r\nok 0.2.0").await;
    assert_eq!(ask(http(&url, None), LONG).await, Ok(()));
    assert_eq!(ask(http(&url, Some(r"^ok 0\.2")), LONG).await, Ok(()));
    let reason = format!("GET {url}: body \"ok 0.2.0\" does not match \"^ok 0.3\"");
    assert_eq!(ask(http(&url, Some("^ok 0.3")), LONG).await, Err(reason));
}

#[tokio::test]
async fn http_tells_what_came_instead() {
    let url = server("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
    let reason = format!("GET {url}: 500 Internal Server Error, expected 200");
    assert_eq!(ask(http(&url, None), LONG).await, Err(reason));
}

#[tokio::test]
async fn http_does_not_follow_redirects() {
    let url =
        server("HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
    let reason = format!("GET {url}: 302 Found, expected 200");
    assert_eq!(ask(http(&url, None), LONG).await, Err(reason));
}

#[tokio::test]
async fn http_does_not_wait_for_ever() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let reason = format!("GET {url}: no answer within 30ms");
    assert_eq!(ask(http(&url, None), Duration::from_millis(30)).await, Err(reason));
}

#[tokio::test]
async fn nobody_listening_is_said_plainly() {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(([127, 0, 0, 1], 0).into()).expect("a port");
    let address = socket.local_addr().expect("an address").to_string();
    let reason = ask(Probe::Tcp { address: address.clone() }, LONG).await.expect_err("nobody listens");
    assert!(reason.starts_with(&format!("connect to {address}: Connection refused")), "{reason}");
    let url = format!("http://{address}/");
    let reason = ask(http(&url, None), LONG).await.expect_err("nobody listens");
    assert!(reason.starts_with(&format!("GET {url}: Connection refused")), "{reason}");
    let _listener = socket.listen(1).expect("it listens");
    assert_eq!(ask(Probe::Tcp { address }, LONG).await, Ok(()));
}

#[tokio::test]
async fn a_program_is_judged_by_its_exit() {
    assert_eq!(ask(shell("test \"$WHO\" = web-1"), LONG).await, Ok(()));
    let reason = "/bin/sh -c echo bad disk >&2; exit 3: exit status: 3, expected exit 0: bad disk".to_owned();
    assert_eq!(ask(shell("echo bad disk >&2; exit 3"), LONG).await, Err(reason));
    let missing = Probe::Exec { command: vec!["/no/such".to_owned()] };
    let reason = ask(missing, LONG).await.expect_err("there is no such program");
    assert!(reason.starts_with("/no/such: No such file"), "{reason}");
}

#[tokio::test]
async fn a_program_that_prints_without_end_is_bounded() {
    let script = "i=0; while [ $i -lt 2000 ]; do echo 0123456789012345678901234567890123456789; i=$((i+1)); done; exit 1";
    let reason = ask(shell(script), LONG).await.expect_err("it exits 1");
    assert!(reason.len() < 500, "{} bytes", reason.len());
}

#[tokio::test]
async fn a_background_process_does_not_hold_up_the_answer() {
    assert_eq!(ask(shell("sleep 1 & exit 0"), LONG).await, Ok(()));
}

#[tokio::test]
async fn a_program_out_of_time_is_killed_with_its_children() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("pid");
    let script = format!("sleep 63 & echo $! > {}; wait", path.display());
    let question = ask(shell(&script), LONG);
    let pid = tokio::select! {
        answer = question => panic!("it should wait: {answer:?}"),
        pid = child_pid(&path) => pid,
    };
    // The question was dropped: the whole group goes.
    while std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z ")) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let reason = ask(shell("sleep 63"), Duration::from_millis(30)).await.expect_err("it is too slow");
    assert_eq!(reason, "/bin/sh -c sleep 63: no answer within 30ms");
}

async fn child_pid(path: &std::path::Path) -> u32 {
    loop {
        match std::fs::read_to_string(path).unwrap_or_default().trim().parse() {
            Ok(pid) => return pid,
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}
