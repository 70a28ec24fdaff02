//! One host, with packages and a daemon that exist in memory only.

use super::*;
use rcgen::{KeyPair, PKCS_ED25519, SigningKey as _};
use relupd_release::Digest;
use relupd_release::package::Statement;
use std::cell::RefCell;
use std::process::Command;
use tempfile::TempDir;

const NOW: i64 = 1_790_000_000;
const OLD: &str = "0.1.0-1";
const NEW: &str = "0.2.0-1";

/// A host whose packages are their versions.
struct World {
    root: TempDir,
    key: KeyPair,
    installed: RefCell<String>,
    installs: RefCell<Vec<String>>,
    /// Versions whose daemon is never well.
    broken: Vec<&'static str>,
    /// The installer dies when it is to install this.
    cut_at: RefCell<Option<&'static str>>,
}

struct Cut;

impl World {
    fn new() -> Self {
        let root = TempDir::new().unwrap();
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let keys = root.path().join("keys");
        fs::create_dir(&keys).unwrap();
        for (path, mode) in [(keys.join("ada.pem"), 0o644), (keys, 0o755)] {
            if mode == 0o644 {
                fs::write(&path, key.public_key_pem()).unwrap();
            }
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        }
        Self {
            root,
            key,
            installed: RefCell::new(OLD.to_owned()),
            installs: RefCell::default(),
            broken: Vec::new(),
            cut_at: RefCell::default(),
        }
    }

    fn package(&self, name: &str, version: &str) -> Vec<u8> {
        let tree = self.root.path().join("tree");
        fs::create_dir_all(tree.join("DEBIAN")).unwrap();
        let control = format!(
            "Package: {name}\nVersion: {version}\nArchitecture: amd64\nMaintainer: a <a@b.c>\nProvides: relupd-format (= 1)\nDescription: d\n"
        );
        fs::write(tree.join("DEBIAN/control"), control).unwrap();
        let package = self.root.path().join("made.deb");
        let mut command = Command::new("dpkg-deb");
        command.args(["-Znone", "--build"]).arg(&tree).arg(&package);
        assert!(command.output().unwrap().status.success());
        fs::read(package).unwrap()
    }

    fn statement(&self, package: &[u8], version: &str) -> Statement {
        Statement {
            version: version.to_owned(),
            architecture: "amd64".to_owned(),
            digest: Digest::of(package),
            size: package.len() as u64,
            signed_at: NOW,
            expires_at: NOW + 60,
        }
    }

    fn order(&self, name: &str, package: &[u8], statement: &Statement) {
        let statement = statement.to_text();
        let signature = self.key.sign(statement.as_bytes()).unwrap();
        let order = Order { order: name.to_owned(), statement, signature };
        order.stage(&self.root.path().join("staged"), |path| fs::write(path, package)).unwrap();
    }

    fn order_version(&self, name: &str, version: &str) {
        let package = self.package("relupd", version);
        self.order(name, &package, &self.statement(&package, version));
    }

    fn host(&self) -> Host<'_> {
        let at = |name: &str| self.root.path().join(name);
        let places = Places { staged: at("staged"), keep: at("keep"), keys: at("keys") };
        let owner = rustix::process::geteuid().as_raw();
        Host { places, packages: self, daemon: self, owner }
    }

    fn work(&self) -> Progress {
        self.host().work(NOW).unwrap().expect("there was something to do")
    }

    /// The installer's process dies in the middle; its lock goes with it.
    fn dies(&self) {
        let died = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.host().work(NOW)));
        assert!(died.is_err_and(|cut| cut.is::<Cut>()), "it was not cut");
    }

    fn keeps_its_program(&self) -> bool {
        self.root.path().join("keep").join(PROGRAM).exists()
    }
}

impl Packages for World {
    fn installed(&self) -> Result<String, String> {
        Ok(self.installed.borrow().clone())
    }

    fn architecture(&self) -> Result<String, String> {
        Ok("amd64".to_owned())
    }

    fn keep(&self, to: &Path) -> Result<(), String> {
        let version = self.installed()?;
        fs::write(to, self.package("relupd", &version)).map_err(|error| error.to_string())
    }

    fn install(&self, package: &Path) -> Result<(), String> {
        let facts = package::read(File::open(package).unwrap()).unwrap();
        if self.cut_at.borrow_mut().take_if(|at| *at == facts.version).is_some() {
            std::panic::panic_any(Cut);
        }
        self.installs.borrow_mut().push(facts.version.clone());
        self.installed.replace(facts.version);
        Ok(())
    }
}

impl Daemon for World {
    fn is_well(&self) -> Result<(), String> {
        let installed = self.installed()?;
        self.proves(&installed)
    }

    fn proves(&self, version: &str) -> Result<(), String> {
        if *self.installed.borrow() != version || self.broken.contains(&version) {
            return Err(format!("{version} does not run"));
        }
        Ok(())
    }
}

#[test]
fn a_signed_package_is_installed_and_the_one_before_it_kept() {
    let world = World::new();
    world.order_version("o1", NEW);
    let ended = world.work();
    assert_eq!((ended.phase, ended.from.as_str(), ended.to.as_str()), (Phase::Installed, OLD, NEW));
    assert_eq!(*world.installed.borrow(), NEW);
    let kept = File::open(world.root.path().join("keep").join(PREVIOUS)).unwrap();
    assert_eq!(package::read(kept).unwrap().version, OLD);
    assert!(!world.keeps_its_program());
    // The same order is carried out once.
    assert_eq!(world.host().work(NOW).unwrap(), None);
    assert_eq!(*world.installs.borrow(), [NEW]);
}

#[test]
fn without_an_order_nothing_is_done() {
    assert_eq!(World::new().host().work(NOW).unwrap(), None);
}

#[test]
fn a_package_whose_daemon_is_not_well_goes_back_by_itself() {
    let world = World { broken: vec![NEW], ..World::new() };
    world.order_version("o1", NEW);
    let ended = world.work();
    assert_eq!(ended.phase, Phase::Reverted);
    assert!(ended.reason.contains("0.2.0-1 does not run"), "{}", ended.reason);
    assert_eq!(*world.installs.borrow(), [NEW, OLD]);
    // And another order may follow.
    world.order_version("o2", "0.3.0-1");
    assert_eq!(world.work().phase, Phase::Installed);
}

#[test]
fn where_the_way_back_fails_too_somebody_is_told() {
    // It was well when the upgrade began, and is not any more.
    let world = World { broken: vec![NEW, OLD], ..World::new() };
    let host = world.host();
    fs::create_dir(&host.places.keep).unwrap();
    let progress = Progress {
        order: "o1".to_owned(),
        from: OLD.to_owned(),
        to: NEW.to_owned(),
        phase: Phase::Checking,
        reason: String::new(),
    };
    progress.write(&host.places.keep).unwrap();
    world.keep(&host.places.keep.join(PREVIOUS)).unwrap();
    let stuck = host.work(NOW).expect_err("neither runs");
    assert!(matches!(stuck, HostError::Stuck { .. }), "{stuck}");
    assert_eq!(Progress::read(&host.places.keep).unwrap().phase, Phase::Failed);
}

#[test]
fn what_somebody_else_has_signed_is_not_installed() {
    let world = World { key: KeyPair::generate_for(&PKCS_ED25519).unwrap(), ..World::new() };
    world.order_version("o1", NEW);
    let ended = world.work();
    assert_eq!(ended.phase, Phase::Refused);
    assert!(ended.reason.contains("no key in"), "{}", ended.reason);
    assert!(world.installs.borrow().is_empty());
}

#[test]
fn what_is_not_as_its_signer_says_is_not_installed() {
    let world = World::new();
    let package = world.package("relupd", NEW);
    let statement = world.statement(&package, NEW);
    let mut tampered = package;
    *tampered.last_mut().unwrap() ^= 1;
    let (other_name, other_version) = (world.package("sudo", NEW), world.package("relupd", "0.2.0-2"));
    for (order, package, statement, reason) in [
        ("tampered", &tampered, statement, "not the one that was signed"),
        ("other name", &other_name, world.statement(&other_name, NEW), "not \"relupd\""),
        ("other version", &other_version, world.statement(&other_version, NEW), "says something else"),
    ] {
        world.order(order, package, &statement);
        let ended = world.work();
        assert_eq!(ended.phase, Phase::Refused, "{order}");
        assert!(ended.reason.contains(reason), "{order}: {}", ended.reason);
    }
    assert!(world.installs.borrow().is_empty());
    assert!(!world.root.path().join("keep").join(INCOMING).exists());
}

#[test]
fn root_keeps_nothing_where_somebody_else_could_change_it() {
    let world = World::new();
    world.order_version("o1", NEW);
    let keep = world.root.path().join("keep");
    fs::create_dir(&keep).unwrap();
    fs::set_permissions(&keep, Permissions::from_mode(0o777)).unwrap();
    let refused = world.host().work(NOW).expect_err("others can write there");
    assert!(matches!(refused, HostError::Unsafe(_)), "{refused}");
    assert!(world.installs.borrow().is_empty());
}

#[test]
fn a_host_whose_daemon_is_not_well_is_left_alone() {
    let world = World { broken: vec![OLD], ..World::new() };
    world.order_version("o1", NEW);
    let ended = world.work();
    assert_eq!(ended.phase, Phase::Refused);
    assert!(ended.reason.contains("not well as it is"), "{}", ended.reason);
}

#[test]
fn an_upgrade_that_was_cut_off_goes_back_at_the_next_start() {
    let world = World::new();
    world.order_version("o1", NEW);
    world.cut_at.replace(Some(NEW));
    world.dies();
    assert!(world.keeps_its_program(), "whoever resumes needs a program that works");
    let ended = world.work();
    assert_eq!(ended.phase, Phase::Reverted);
    assert_eq!(*world.installed.borrow(), OLD);
    assert!(!world.keeps_its_program());
}

#[test]
fn a_way_back_that_was_cut_off_is_gone_again() {
    let world = World { broken: vec![NEW], ..World::new() };
    world.order_version("o1", NEW);
    world.cut_at.replace(Some(OLD));
    world.dies();
    let ended = world.work();
    assert_eq!(ended.phase, Phase::Reverted);
    assert!(ended.reason.contains("0.2.0-1 does not run"), "{}", ended.reason);
    assert_eq!(*world.installed.borrow(), OLD);
}
