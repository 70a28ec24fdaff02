//! Releases made by mix, and in the layout that Distillery has left: the driver against real VMs.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod erlang_support;

use erlang_support::{Host, transition, vsn};
use relupd::driver::{CheckResult, Condition, Method, ReleaseDriver, Rung, StagedRelease, Transition};
use relupd::ids::Digest;
use relupd_release::archive::{Discard, Limits, read};
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The Elixir sample's archives, built by the first test that needs them; `None` without mix.
fn samples() -> Option<PathBuf> {
    if Command::new("mix").arg("--version").stdout(Stdio::null()).status().is_err() {
        eprintln!("mix is not installed (apt-get install elixir): nothing tested");
        return None;
    }
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("elixir");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../chaos-tests/sample/elixir/build.sh");
    assert!(Command::new(script).arg(&out).stdout(Stdio::null()).status().unwrap().success());
    Some(out)
}

fn host(release: &str) -> Host {
    Host::with(|settings| {
        settings.app = release.parse().unwrap();
        settings.release = release.parse().unwrap();
        settings.environment.insert("GREET".to_owned(), "tests".to_owned());
        settings.environment.insert("LC_ALL".to_owned(), "C.UTF-8".to_owned());
    })
}

fn unpack(host: &Host, archive: &Path, version: &str) -> PathBuf {
    let tree = host.directory.path().join("staged").join(version);
    fs::create_dir_all(&tree).unwrap();
    let unpacked = Command::new("tar").arg("xzf").arg(archive).arg("-C").arg(&tree).status().unwrap();
    assert!(unpacked.success());
    tree
}

async fn place(host: &Host, tree: PathBuf, version: &str) {
    let staged = StagedRelease { version: vsn(version), manifest: Digest::of(version.as_bytes()), tree };
    host.driver.place(&staged).await.unwrap();
}

async fn install_first(host: &Host, version: &str) {
    let first = Transition { from: None, ..transition(version, version, Method::First) };
    host.driver.install(&first).await.unwrap();
    host.driver.verify(&first).await.unwrap();
    host.driver.commit(&first).await.unwrap();
    assert_eq!(host.driver.observe().await.unwrap().condition, Condition::Clean);
}

fn answer(host: &Host) -> (u64, String, String) {
    let (status, body) = host.get("/").unwrap();
    assert_eq!(status, 200, "{body}");
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    let text = |name: &str| body[name].as_str().unwrap().to_owned();
    (body["count"].as_u64().unwrap(), text("version"), text("greeting"))
}

/// The acceptor takes over its new code with the next connection that it accepts, or a moment later.
fn answer_of(host: &Host, version: &str) -> (u64, String) {
    loop {
        let (count, answers, greeting) = answer(host);
        if answers == version {
            return (count, greeting);
        }
    }
}

/// As `relupctl release relup` does, with the tools of the tests.
fn make_relup(release: &str, from: &Path, to: &Path) {
    let [up, target] = [(from, "0.1.0"), (to, "0.2.0")]
        .map(|(tree, version)| tree.join("releases").join(version).join(release));
    let [paths_from, paths_to] = [from, to].map(|tree| tree.join("lib/*/ebin"));
    let code = "[To, From, A, B] = init:get_plain_arguments(),
        ok = systools:make_relup(To, [From], [From], [{path, [A, B]}, {outdir, filename:dirname(To)}]), halt().";
    let made = Command::new("erl")
        .args(["-noshell", "-eval", code, "-extra"])
        .args([target, up, paths_from, paths_to])
        .status();
    assert!(made.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_of_mix_with_no_library_of_ours_goes_by_restart() {
    let Some(samples) = samples() else { return };
    let host = host("greeter");
    let [from, to] = ["0.1.0", "0.2.0"].map(|v| unpack(&host, &samples.join(format!("plain-{v}.tar.gz")), v));
    place(&host, from, "0.1.0").await;
    install_first(&host, "0.1.0").await;
    assert_eq!(answer(&host), (1, "0.1.0".to_owned(), "hello from 0.1.0 to tests".to_owned()));

    place(&host, to, "0.2.0").await;
    let hot = host.driver.preflight(&transition("0.1.0", "0.2.0", Method::Hot)).await.unwrap();
    assert!(hot.iter().any(|check| matches!(check.result, CheckResult::NotHot { .. })), "{hot:#?}");
    let restart = transition("0.1.0", "0.2.0", Method::Restart);
    let checks = host.driver.preflight(&restart).await.unwrap();
    assert!(checks.iter().all(|check| check.result == CheckResult::Passed), "{checks:#?}");

    host.driver.install(&restart).await.unwrap();
    host.driver.verify(&restart).await.unwrap();
    assert_eq!(host.driver.observe().await.unwrap().condition, Condition::Trial);
    host.drained(&restart).await;
    host.driver.commit(&restart).await.unwrap();
    assert_eq!(answer(&host), (1, "0.2.0".to_owned(), "hello from 0.2.0 to tests".to_owned()));
    host.driver.roll_back(&restart, Rung::Restart).await.unwrap();
    assert_eq!(answer(&host).1, "0.1.0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_of_mix_with_sasl_and_a_relup_is_hot_and_keeps_its_runtime_configuration() {
    let Some(samples) = samples() else { return };
    let host = host("greeter");
    let [from, to] =
        ["0.1.0", "0.2.0"].map(|v| unpack(&host, &samples.join(format!("greeter-{v}.tar.gz")), v));
    fs::copy(samples.join("greeter.appup"), to.join("lib/greeter-0.2.0/ebin/greeter.appup")).unwrap();
    make_relup("greeter", &from, &to);
    fs::create_dir_all(host.root().join("releases")).unwrap();
    fs::write(host.root().join("releases/COOKIE"), "the node's own").unwrap();
    place(&host, from, "0.1.0").await;
    install_first(&host, "0.1.0").await;
    assert_eq!(answer(&host), (1, "0.1.0".to_owned(), "hello from 0.1.0 to tests".to_owned()));

    place(&host, to, "0.2.0").await;
    let up = transition("0.1.0", "0.2.0", Method::Hot);
    let checks = host.driver.preflight(&up).await.unwrap();
    assert!(checks.iter().all(|check| check.result == CheckResult::Passed), "{checks:#?}");

    // What completes the configuration may fail, and then nothing is installed.
    let runtime = host.root().join("releases/0.2.0/runtime.exs");
    let sound = fs::read(&runtime).unwrap();
    fs::write(&runtime, "raise \"the vault is sealed\"").unwrap();
    let checks = host.driver.preflight(&up).await.unwrap();
    let failed = checks.iter().find(|check| check.result != CheckResult::Passed).unwrap();
    assert_eq!(failed.key(), "P5");
    // What it printed may hold secrets, and is not repeated.
    assert!(matches!(&failed.result, CheckResult::NotHot { reason, .. }
            if reason.contains("its providers ended with") && !reason.contains("the vault is sealed")));
    host.driver.install(&up).await.unwrap_err();
    fs::write(&runtime, sound).unwrap();

    // No relup names consolidated protocols: one that changes would stay as it is until the next restart.
    let consolidated = host.root().join("releases/0.2.0/consolidated");
    let protocol = consolidated.join("Elixir.String.Chars.beam");
    let sound = fs::read(&protocol).unwrap();
    fs::copy(consolidated.join("Elixir.Inspect.beam"), &protocol).unwrap();
    let checks = host.driver.preflight(&up).await.unwrap();
    let failed = checks.iter().find(|check| check.result != CheckResult::Passed).unwrap();
    assert_eq!(failed.key(), "P4");
    assert!(matches!(&failed.result, CheckResult::NotHot { reason, .. } if reason.contains("String.Chars")));
    fs::write(&protocol, sound).unwrap();

    host.driver.install(&up).await.unwrap();
    host.driver.verify(&up).await.unwrap();
    let (count, greeting) = answer_of(&host, "0.2.0");
    assert!(count > 1, "the counter has kept its state");
    assert_eq!(greeting, "hello from 0.2.0 to tests");
    host.drained(&up).await;
    host.driver.commit(&up).await.unwrap();
    assert_eq!(answer(&host).0, count + 1);
    let mode = fs::metadata(host.root().join("releases/0.2.0/sys.config")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640, "it may hold secrets");

    host.driver.roll_back(&up, Rung::RelupDown).await.unwrap();
    let (back, greeting) = answer_of(&host, "0.1.0");
    assert!(back > count + 1, "and keeps it on the way back");
    assert_eq!(greeting, "hello from 0.1.0 to tests");
    assert_eq!(fs::read_to_string(host.root().join("releases/COOKIE")).unwrap(), "the node's own");

    // Its configuration was completed here, and it is still the same release.
    let again = unpack(&host, &samples.join("greeter-0.1.0.tar.gz"), "0.1.0");
    fs::remove_file(host.root().join("releases/0.1.0/.relupd-manifest")).unwrap();
    place(&host, again, "0.1.0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_umbrella_is_a_release_like_any_other() {
    let Some(samples) = samples() else { return };
    let [from, to] = ["0.1.0", "0.2.0"].map(|v| samples.join(format!("umbrella-{v}.tar.gz")));
    let read = read(File::open(&from).unwrap(), Limits::default(), &mut Discard).unwrap();
    let names: Vec<&str> = read.info.applications.iter().map(|one| one.name.as_str()).collect();
    assert!(names.contains(&"front") && names.contains(&"back"), "{names:?}");
    let host = host("umbrella");
    place(&host, unpack(&host, &from, "0.1.0"), "0.1.0").await;
    install_first(&host, "0.1.0").await;
    place(&host, unpack(&host, &to, "0.2.0"), "0.2.0").await;
    goes_by_restart(&host).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_umbrella_goes_hot_where_each_of_its_applications_has_an_appup() {
    let Some(samples) = samples() else { return };
    let host = host("umbrella");
    let [from, to] =
        ["0.1.0", "0.2.0"].map(|v| unpack(&host, &samples.join(format!("umbrella-{v}.tar.gz")), v));
    for (application, instructions) in [("front", ""), ("back", "{load_module, 'Elixir.Back'}")] {
        let way = format!("[{{\"0.1.0\", [{instructions}]}}]");
        let appup = to.join(format!("lib/{application}-0.2.0/ebin/{application}.appup"));
        fs::write(appup, format!("{{\"0.2.0\", {way}, {way}}}.")).unwrap();
    }
    make_relup("umbrella", &from, &to);
    place(&host, from, "0.1.0").await;
    install_first(&host, "0.1.0").await;
    place(&host, to, "0.2.0").await;

    let up = transition("0.1.0", "0.2.0", Method::Hot);
    let checks = host.driver.preflight(&up).await.unwrap();
    assert!(checks.iter().all(|check| check.result == CheckResult::Passed), "{checks:#?}");
    host.driver.install(&up).await.unwrap();
    host.driver.verify(&up).await.unwrap();
    host.drained(&up).await;
    host.driver.commit(&up).await.unwrap();
    let observed = host.driver.observe().await.unwrap();
    assert_eq!((observed.permanent, observed.condition), (Some(vsn("0.2.0")), Condition::Clean));
    host.driver.roll_back(&up, Rung::RelupDown).await.unwrap();
    let observed = host.driver.observe().await.unwrap();
    assert_eq!((observed.permanent, observed.condition), (Some(vsn("0.1.0")), Condition::Clean));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_layout_of_distillery_boots_by_the_name_of_the_release() {
    let host = Host::new();
    for version in ["0.1.0", "0.2.0"] {
        let staged = host.stage(version);
        let release = staged.tree.join("releases").join(version);
        fs::rename(release.join("start.boot"), release.join("shop.boot")).unwrap();
        for file in ["vm.args", "../start_erl.data"] {
            assert!(release.join(file).exists(), "{file} is in that layout");
        }
        host.driver.place(&staged).await.unwrap();
        if version == "0.1.0" {
            install_first(&host, version).await;
        }
        assert_eq!(host.info()["version"], "0.1.0");
    }
    goes_by_restart(&host).await;
    assert_eq!(host.info()["version"], "0.1.0");
}

/// From 0.1.0 to 0.2.0, for good, and back.
async fn goes_by_restart(host: &Host) {
    let up = transition("0.1.0", "0.2.0", Method::Restart);
    let checks = host.driver.preflight(&up).await.unwrap();
    assert!(checks.iter().all(|check| check.result == CheckResult::Passed), "{checks:#?}");
    host.driver.install(&up).await.unwrap();
    host.driver.verify(&up).await.unwrap();
    assert_eq!(host.driver.observe().await.unwrap().condition, Condition::Trial);
    host.driver.commit(&up).await.unwrap();
    let observed = host.driver.observe().await.unwrap();
    assert_eq!((observed.permanent, observed.condition), (Some(vsn("0.2.0")), Condition::Clean));
    host.driver.roll_back(&up, Rung::Restart).await.unwrap();
    let observed = host.driver.observe().await.unwrap();
    assert_eq!((observed.permanent, observed.condition), (Some(vsn("0.1.0")), Condition::Clean));
}
