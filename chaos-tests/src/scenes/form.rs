//! Three daemons become one cluster.

use super::Stage;
use anyhow::ensure;

/// Starts every daemon, makes a cluster on the first one and brings the others in.
pub async fn play(stage: &mut Stage) -> anyhow::Result<()> {
    let show = stage.show;
    for index in 0..stage.cluster.members().len() {
        stage.cluster.start_daemon(index).await?;
        let member = &stage.cluster.members()[index];
        show.say(&format!("relupd runs as {} on {}", member.name(), member.listen()));
    }
    let (first, ctl) = stage.at(0);
    show.run(first, &ctl, &["cluster", "init"]).await?;
    for index in 1..stage.cluster.members().len() {
        show.prompt(first, &["cluster", "token"]);
        show.block("(a join token: single use, expires in an hour)");
        let token = ctl.token().await?;
        let (name, there) = stage.at(index);
        show.prompt(name, &["cluster", "join", "TOKEN"]);
        show.block(&there.run(&["cluster", "join", &token]).await?.stdout);
        let again = there.try_run(&["cluster", "join", &token]).await?;
        ensure!(again.code == 1, "a token was good for two joins");
    }
    stage.cluster.settled().await?;
    show.run(first, &ctl, &["cluster", "status"]).await?;
    show.witnessed("every daemon by itself: all alive, three voters, one leader");
    Ok(())
}
