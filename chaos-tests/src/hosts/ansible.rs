//! The Ansible role, as an administrator uses it: bare hosts are set up over SSH as root, then an operator without
//! privileges deploys over the network. Said twice, the second time changes nothing.

use super::install::{PORT, sick_file};
use super::{APP_PORT, Hosts, PUBLIC_PORT, settle, tool};
use crate::cluster::APP;
use crate::report::Figure;
use crate::samples::Samples;
use crate::show::Show;
use anyhow::{Context as _, ensure};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::Command;

const PLAYBOOKS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/ansible");

/// Somebody who may do nothing on this machine.
const NOBODY: &str = "65534";

/// What every join token begins with.
const TOKEN: &str = "relupd-join-v1.";

/// Why the role cannot be tried here; `None` where it can.
#[must_use]
pub fn missing() -> Option<String> {
    let needs = [("ansible-playbook", "ansible-core"), ("ssh", "openssh-client"), ("setpriv", "util-linux")];
    let missing: Vec<&str> =
        needs.iter().filter(|(tool, _)| !tool::exists(tool)).map(|(_, package)| *package).collect();
    (!missing.is_empty()).then(|| format!("the role needs: apt-get install {}", missing.join(" ")))
}

/// Plays it on booted hosts that have nothing of relupd.
pub async fn play(hosts: &Hosts, samples: &Samples, show: Show) -> anyhow::Result<Vec<Figure>> {
    let stage = Stage::prepare(hosts).await?;
    let changed = stage.set_up().await?;
    hosts.settled().await?;
    show.witnessed(&format!("setup: {changed} changes; {} hosts are one cluster", hosts.all().len()));
    let mut again = stage.set_up().await?;
    show.witnessed(&format!("setup once more: {again} changes"));
    let mut deployed = 0;
    for version in ["0.1.0", "0.2.0"] {
        deployed += stage.deploy(samples, version).await?;
        settle::on(hosts, version).await?;
        let twice = stage.deploy(samples, version).await?;
        show.witnessed(&format!("deploy, as nobody: {version} on every host; once more: {twice} changes"));
        again += twice;
    }
    again += stage.set_up().await?;
    no_token_in_a_journal(hosts).await?;
    show.witnessed("no join token in what Ansible printed, nor in a journal");
    Ok(vec![
        Figure::some("ansible_changes", changed + deployed),
        Figure::exactly("ansible_changes_in_second_runs", again, 0),
    ])
}

#[derive(Debug)]
struct Stage {
    directory: PathBuf,
    inventory: PathBuf,
    identity: PathBuf,
    relupctl: PathBuf,
}

impl Stage {
    async fn prepare(hosts: &Hosts) -> anyhow::Result<Self> {
        let directory = hosts.directory().join("ansible");
        fs::create_dir(&directory)?;
        let key = directory.join("key");
        tool::run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", &key.to_string_lossy()])?;
        let public = fs::read_to_string(key.with_extension("pub"))?;
        for host in hosts.all() {
            host.run(&["mkdir", "-p", "-m", "700", "/root/.ssh"]).await?;
            host.write("/root/.ssh/authorized_keys", &public)?;
            host.run(&["chmod", "600", "/root/.ssh/authorized_keys"]).await?;
            host.run(&["systemctl", "start", "ssh"]).await?;
        }
        let identity = directory.join("deploy");
        let inventory = directory.join("inventory.json");
        fs::write(&inventory, inventory_of(hosts, &key, &identity).to_string())?;
        fs::write(directory.join("app.toml"), super::install::spec("auto", super::install::OFTEN))?;
        Ok(Self { directory, inventory, identity, relupctl: hosts.relupctl().to_owned() })
    }

    /// The privileged phase; how much it has changed.
    async fn set_up(&self) -> anyhow::Result<u64> {
        let mut command = Command::new("ansible-playbook");
        command.arg(Path::new(PLAYBOOKS).join("setup.yml"));
        self.changes(command, &self.directory.join("root")).await
    }

    /// The unprivileged phase; how much it has changed.
    async fn deploy(&self, samples: &Samples, version: &str) -> anyhow::Result<u64> {
        let home = self.directory.join("nobody");
        fs::create_dir_all(&home)?;
        for path in [&self.identity, &home] {
            tool::run("chown", &["-R", NOBODY, &path.to_string_lossy()])?;
        }
        let variables = json!({
            "relupd_app": APP,
            "relupd_relupctl": self.relupctl,
            "relupd_identity": self.identity,
            "relupd_spec": self.directory.join("app.toml"),
            "relupd_archive": samples.archive(version),
            "relupd_version": version,
            "relupd_wait": "120s",
        });
        let mut command = Command::new("setpriv");
        command.args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "--", "ansible-playbook"]);
        // There is no home of nobody's.
        command.env("ANSIBLE_REMOTE_TMP", home.join("tmp"));
        command.arg("--extra-vars").arg(variables.to_string());
        command.arg(Path::new(PLAYBOOKS).join("deploy.yml"));
        self.changes(command, &home).await
    }

    async fn changes(&self, mut command: Command, home: &Path) -> anyhow::Result<u64> {
        fs::create_dir_all(home)?;
        command.arg("-vvv").arg("--inventory").arg(&self.inventory);
        command.env("HOME", home).env("ANSIBLE_HOME", home.join(".ansible"));
        command.env("ANSIBLE_LOCAL_TEMP", home.join("tmp")).env("ANSIBLE_NOCOLOR", "1");
        command.env("ANSIBLE_HOST_KEY_CHECKING", "False").env("ANSIBLE_NOCOWS", "1");
        command.env("LC_ALL", "C.UTF-8").stdin(Stdio::null()).kill_on_drop(true);
        let ended = command.output().await.context("cannot run ansible-playbook")?;
        let said = String::from_utf8_lossy(&ended.stdout);
        let cried = String::from_utf8_lossy(&ended.stderr);
        ensure!(!said.contains(TOKEN) && !cried.contains(TOKEN), "a join token was printed");
        ensure!(ended.status.success(), "ansible-playbook failed: {}\n{cried}", failures(&said));
        changed(&said).with_context(|| format!("ansible-playbook printed: {said}\n{cried}"))
    }
}

/// From the recap, a line for each host: `n1 : ok=9 changed=3 unreachable=0 failed=0 ...`
fn changed(said: &str) -> Option<u64> {
    let (_, recap) = said.rsplit_once("PLAY RECAP")?;
    let counts =
        recap.lines().flat_map(str::split_whitespace).filter_map(|word| word.strip_prefix("changed="));
    counts.map(|count| count.parse::<u64>().ok()).sum()
}

/// The tasks that failed, out of all that was printed.
fn failures(said: &str) -> String {
    let tasks = said.split("\nTASK ").filter(|task| task.contains("fatal: ") || task.contains("failed: "));
    tasks.collect::<Vec<_>>().join("\n")
}

fn inventory_of(hosts: &Hosts, key: &Path, identity: &Path) -> serde_json::Value {
    let each: serde_json::Map<String, serde_json::Value> = hosts
        .all()
        .iter()
        .map(|host| (host.name().to_owned(), json!({ "ansible_host": host.cluster_address() })))
        .collect();
    json!({ "relupd": { "hosts": each, "vars": {
        "ansible_user": "root",
        "ansible_python_interpreter": "/usr/bin/python3",
        "ansible_ssh_private_key_file": key,
        "ansible_ssh_common_args": "-o UserKnownHostsFile=/dev/null",
        "relupd_app": APP,
        "relupd_deb": hosts.package(),
        "relupd_port": PORT,
        "relupd_interface": "host0",
        "relupd_cluster_hosts": ["10.77.0.0/24"],
        "relupd_labels": { "role": "web" },
        "relupd_redirects": [{ "from": PUBLIC_PORT, "to": APP_PORT }],
        "relupd_app_environment": {
            "LISTEN_IP": "0.0.0.0", "PORT": APP_PORT.to_string(), "SHOP_SICK_FILE": sick_file(),
        },
        "relupd_operator": "deploy",
        "relupd_operator_directory": identity,
    }}})
}

async fn no_token_in_a_journal(hosts: &Hosts) -> anyhow::Result<()> {
    for host in hosts.all() {
        let journal = host.run(&["journalctl", "--no-pager", "--output", "cat"]).await?;
        ensure!(!journal.contains(TOKEN), "there is a join token in the journal of {}", host.name());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_counted_over_all_hosts() {
        let said = "TASK [x] *\nchanged: [n1]\n\nPLAY RECAP ****\n\
                    n1                         : ok=9    changed=3    unreachable=0    failed=0\n\
                    n2                         : ok=9    changed=2    unreachable=0    failed=0\n";
        assert_eq!(changed(said), Some(5));
        assert_eq!(changed("no hosts"), None);
    }
}
