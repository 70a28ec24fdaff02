//! A few cells of the crash matrix, each way and most faults once; `make crash-matrix` plays all of them.

use chaos_tests::binaries::Binaries;
use chaos_tests::crash::{Cell, Fault, Matrix, Transition, Verdict};
use chaos_tests::show::Show;

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_broken_on_its_way_ends_wholly_on_one_version_or_the_other() {
    let directory = tempfile::Builder::new().prefix("relupd-e2e-").tempdir().unwrap();
    let mut matrix =
        Matrix::prepare(directory.path(), Binaries::of_this_build().unwrap(), Show::Silent).await.unwrap();
    let cells = [
        ("first", Fault::KillDaemon, "spawned shop", 1),
        ("first", Fault::DiskFull, "write releases/RELEASES", 1),
        ("hot-up", Fault::PowerCut, "rename releases/start_erl.data", 1),
        ("hot-up", Fault::KillVm, "answered check_install", 2),
        ("hot-up", Fault::NoPermission, "create releases/RELEASES", 1),
        ("hot-down", Fault::LostReply, "lose run", 1),
        ("restart-up", Fault::KillBoth, "create releases/RELEASES", 1),
        ("restart-down", Fault::ReadOnly, "write shop/trial", 1),
        ("first-back", Fault::KillDaemon, "remove releases/RELEASES", 1),
        ("hot-back", Fault::PowerCut, "rename releases/RELEASES", 1),
        ("restart-back", Fault::KillVm, "begin observe", 1),
        ("push", Fault::DiskFull, "write store/incoming", 2),
        ("push", Fault::PowerCut, "rename store/content", 1),
    ];
    let cell = |(name, fault, point, passage): (&str, Fault, &str, usize)| Cell {
        transition: Transition::named(name).unwrap(),
        point: point.to_owned(),
        passage,
        fault,
    };
    let (cells, left): (Vec<Cell>, Vec<Cell>) =
        cells.map(cell).into_iter().partition(|cell| matrix.can(cell.fault));
    for cell in left {
        eprintln!("SKIPPED {cell}: that takes root, and a file system of its own");
    }
    matrix.play_all(cells).await.unwrap();
    for outcome in matrix.outcomes() {
        assert!(matches!(outcome.verdict, Verdict::Ok { .. }), "{outcome:?}");
    }
}
