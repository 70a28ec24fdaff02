use super::*;
use std::path::Path;
use tempfile::TempDir;

/// A service in a directory of its own.
fn service() -> (TempDir, ChildService) {
    let directory = tempfile::tempdir().expect("a directory");
    let service = ChildService::open(directory.path()).expect("a service");
    (directory, service)
}

fn shell(script: &str) -> Launch {
    Launch {
        instance: "shop".to_owned(),
        program: "/bin/sh".into(),
        arguments: vec!["-c".to_owned(), script.to_owned()],
        environment: BTreeMap::from([
            ("PATH".to_owned(), "/usr/bin:/bin".to_owned()),
            ("WHO".to_owned(), "web-1".to_owned()),
        ]),
        directory: "/".into(),
        user: None,
    }
}

async fn running(service: &ChildService) -> Option<Identity> {
    match service.state("shop").await.expect("a state") {
        ServiceState::Running { pid, start_time } => Some(Identity { pid, start_time }),
        ServiceState::Stopped => None,
    }
}

/// Waits for a condition; a test that waits in vain is ended by the test runner.
async fn until(mut condition: impl AsyncFnMut() -> bool) {
    while !condition().await {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn log_says(service: &ChildService, text: &str) {
    let path = service.log_path("shop");
    until(async || std::fs::read_to_string(&path).unwrap_or_default().contains(text)).await;
}

const GRACE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn gives_the_app_its_environment_and_nothing_else() {
    let (_directory, service) = service();
    service.start(&shell("env; echo to stderr >&2; exec sleep 60")).await.expect("started");
    log_says(&service, "to stderr").await;
    let log = std::fs::read_to_string(service.log_path("shop")).expect("a log");
    assert!(log.contains("WHO=web-1\n"), "{log}");
    assert!(!log.contains("CARGO"), "{log}");
    service.stop("shop", GRACE).await.expect("stopped");
    assert_eq!(running(&service).await, None);
}

#[tokio::test]
async fn a_running_instance_is_left_as_it_is() {
    let (_directory, service) = service();
    service.start(&shell("exec sleep 60")).await.expect("started");
    let first = running(&service).await.expect("it runs");
    service.start(&shell("exec sleep 61")).await.expect("nothing to do");
    assert_eq!(running(&service).await, Some(first));
    service.stop("shop", GRACE).await.expect("stopped");
    service.stop("shop", GRACE).await.expect("nothing to do");
}

#[tokio::test]
async fn the_next_life_of_the_daemon_finds_the_app() {
    let (directory, first_life) = service();
    first_life.start(&shell("exec sleep 60")).await.expect("started");
    let identity = running(&first_life).await.expect("it runs");
    drop(first_life);
    let second_life = ChildService::open(directory.path()).expect("a service");
    assert_eq!(running(&second_life).await, Some(identity));
    second_life.stop("shop", GRACE).await.expect("stopped");
    assert!(!process::is_alive(identity).expect("/proc"));
}

#[tokio::test]
async fn a_daemon_killed_between_starting_and_writing_it_down_finds_the_app() {
    let (_directory, service) = service();
    let mark = "0123456789".to_owned();
    service.write("shop", Stage::Starting { mark: mark.clone() }).await.expect("written");
    assert_eq!(running(&service).await, None);
    let child = service.spawn(&shell("sleep 60; true"), &mark).expect("spawned");
    let pid = child.id().expect("a pid");
    reap("shop".to_owned(), pid, child);
    // One that has not become another program yet has no mark.
    until(async || running(&service).await.is_some_and(|identity| identity.pid == pid)).await;
    service.start(&shell("exit 1")).await.expect("it runs already");
    service.stop("shop", GRACE).await.expect("stopped");
    assert_eq!(running(&service).await, None);
}

#[tokio::test]
async fn a_book_of_another_boot_or_of_another_process_says_stopped() {
    let (_directory, service) = service();
    let own = process::stat(std::process::id()).expect("/proc").expect("this test runs");
    let stage = Stage::Started { pid: own.pid, start_time: own.start_time };
    let record = Record { boot_id: "another".to_owned(), stage };
    service.book.write("shop", &record).expect("written");
    assert_eq!(running(&service).await, None);
    // The same pid, but its process has ended since: nobody is signalled.
    let stage = Stage::Started { pid: own.pid, start_time: own.start_time - 1 };
    service.write("shop", stage).await.expect("written");
    assert_eq!(running(&service).await, None);
    service.stop("shop", GRACE).await.expect("there is nothing to stop");
}

#[tokio::test]
async fn what_ignores_sigterm_is_killed_with_its_children() {
    let (_directory, service) = service();
    let script = "trap '' TERM; sleep 61 & echo child $!; while :; do sleep 1; done";
    service.start(&shell(script)).await.expect("started");
    log_says(&service, "child ").await;
    let log = std::fs::read_to_string(service.log_path("shop")).expect("a log");
    let child: u32 = log.trim().trim_start_matches("child ").parse().expect("a pid");
    service.stop("shop", Duration::from_millis(50)).await.expect("killed");
    assert_eq!(running(&service).await, None);
    until(async || process::stat(child).expect("/proc").is_none_or(|stat| !stat.is_alive())).await;
}

#[tokio::test]
async fn an_app_that_ends_is_noticed_and_its_leftovers_do_not_outlive_the_next_start() {
    let (_directory, service) = service();
    service.start(&shell("sleep 62 & echo child $!; exit 3")).await.expect("started");
    until(async || running(&service).await.is_none()).await;
    log_says(&service, "child ").await;
    let log = std::fs::read_to_string(service.log_path("shop")).expect("a log");
    let child: u32 = log.trim().trim_start_matches("child ").parse().expect("a pid");
    assert!(process::stat(child).expect("/proc").is_some_and(|stat| stat.is_alive()));
    service.start(&shell("exec sleep 60")).await.expect("started again");
    until(async || process::stat(child).expect("/proc").is_none_or(|stat| !stat.is_alive())).await;
    service.stop("shop", GRACE).await.expect("stopped");
}

#[tokio::test]
async fn says_what_cannot_be_started() {
    let (_directory, service) = service();
    let nothing = Launch { program: "/no/such/program".into(), ..shell("") };
    let error = service.start(&nothing).await.expect_err("there is no such program").to_string();
    assert!(error.contains("cannot start shop: /no/such/program in /: No such file"), "{error}");
    assert_eq!(running(&service).await, None);
    let stranger = Launch { user: Some("no-such-user".to_owned()), ..shell("") };
    let error = service.start(&stranger).await.expect_err("there is no such user").to_string();
    assert!(error.contains("no-such-user"), "{error}");
}

#[tokio::test]
async fn the_book_is_private_to_the_daemon() {
    use std::os::unix::fs::PermissionsExt;
    let (directory, _service) = service();
    let mode =
        std::fs::metadata(Path::new(directory.path()).join("apps")).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}
