//! The files that describe releases, as OTP and relx write them.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod erlang;

use proptest::prelude::*;
use relupd_release::FormatError;
use relupd_release::pointer::{PointerError, StartErl, agreed_version, script_version};
use relupd_release::rel::Rel;
use relupd_release::releases_file::{Releases, Status};
use relupd_release::relup::{CodeChange, Instruction, Purge, Relup};
use relupd_release::terms::Term;

const RELEASES: &str = r#"%% coding: utf-8
[{release,"shop","0.2.0","13.1.5",
          [{kernel,"8.5.3","/opt/shop/lib/kernel-8.5.3"},
           {shop,"0.2.0","/opt/shop/lib/shop-0.2.0"}],
          unpacked},
 {release,"shop","0.1.0",undefined,
          [],
          permanent}].
"#;

const RELUP: &str = r#"%% coding: utf-8
{"0.2.0",
 [{"0.1.0",[],
   [{load_object_code,{shop,"0.2.0",[shop_routes,shop_counter]}},
    point_of_no_return,
    {load,{shop_routes,brutal_purge,soft_purge}},
    {remove,{shop_old,brutal_purge,brutal_purge}},
    {suspend,[shop_counter,{shop_cart,30000}]},
    {code_change,up,[{shop_counter,[]}]},
    {code_change,[{shop_cart,extra}]},
    {resume,[shop_counter,shop_cart]},
    {apply,{shop_hooks,upgraded,["0.2.0"]}},
    {stop,[a]},{start,[a]},{purge,[b]},{sync_nodes,id,[n@h]}]}],
 [{"0.1.0",[],[{code_change,down,[{shop_counter,[]}]},restart_emulator]},
  {"0.0.9","text",[{teleport,shop},{load,{shop}}]}]}.
"#;

#[test]
fn reads_every_instruction_of_a_relup() {
    let relup = Relup::parse(RELUP.as_bytes()).unwrap();
    let up = relup.up_from(&"0.1.0".parse().unwrap()).unwrap();
    assert!(!up.instructions.iter().any(|instruction| matches!(instruction, Instruction::Unknown(_))));
    assert_eq!(
        up.instructions[2],
        Instruction::Load { module: "shop_routes".into(), pre_purge: Purge::Brutal, post_purge: Purge::Soft }
    );
    assert_eq!(
        up.instructions[6],
        Instruction::CodeChange { direction: CodeChange::Up, modules: vec!["shop_cart".into()] }
    );
    assert_eq!(up.replaced_modules().into_iter().collect::<Vec<_>>(), ["shop_old", "shop_routes"]);
    assert_eq!(up.suspended_modules().into_iter().collect::<Vec<_>>(), ["shop_cart", "shop_counter"]);
    assert_eq!(up.applied_functions().into_iter().collect::<Vec<_>>(), ["shop_hooks:upgraded"]);
}

#[test]
fn a_script_that_restarts_the_emulator_is_not_hot() {
    let relup = Relup::parse(RELUP.as_bytes()).unwrap();
    assert_eq!(relup.hot_up_from(), ["0.1.0".parse().unwrap()].into());
    assert_eq!(relup.hot_down_to(), ["0.0.9".parse().unwrap()].into());
}

#[test]
fn unknown_instructions_are_kept_as_such() {
    let relup = Relup::parse(RELUP.as_bytes()).unwrap();
    let script = relup.down_to(&"0.0.9".parse().unwrap()).unwrap();
    let Instruction::Unknown(term) = &script.instructions[0] else { panic!("teleport is no instruction") };
    assert_eq!(term.to_string(), "{teleport,shop}");
    assert!(matches!(script.instructions[1], Instruction::Unknown(_)), "load without its purges");
}

#[test]
fn releases_are_written_as_they_were_read() {
    let releases = Releases::parse(RELEASES.as_bytes()).unwrap();
    assert_eq!(releases.to_string(), RELEASES);
    assert_eq!(releases.permanent().unwrap().version.as_str(), "0.1.0");
    assert_eq!(releases.permanent().unwrap().erts, None);
}

#[test]
fn otp_reads_the_releases_that_are_written() {
    let releases = Releases::parse(RELEASES.as_bytes()).unwrap();
    let Some(printed) = erlang::reprint(&releases.to_string()) else { return };
    assert_eq!(Releases::parse(printed.as_bytes()), Ok(releases));
}

#[test]
fn making_a_version_permanent_makes_the_other_one_old() {
    let releases = Releases::parse(RELEASES.as_bytes()).unwrap();
    let next = releases.with_permanent(&"0.2.0".parse().unwrap()).unwrap();
    assert_eq!(
        next.entries.iter().map(|entry| entry.status).collect::<Vec<_>>(),
        [Status::Permanent, Status::Old]
    );
    assert_eq!(releases.with_permanent(&"0.3.0".parse().unwrap()), None);
}

#[test]
fn two_permanent_releases_are_none() {
    let releases = Releases::parse(RELEASES.replace("unpacked", "permanent").as_bytes()).unwrap();
    assert_eq!(releases.permanent(), None);
}

#[test]
fn errors_say_what_was_expected_and_what_was_found() {
    let shape = Rel::parse(b"{release, {\"shop\", \"1\"}, {erts, \"13\"}, [kernel]}.").unwrap_err();
    assert_eq!(
        shape.to_string(),
        ".rel file: expected {Application, Version}, found kernel; build the release again"
    );
    let name = Rel::parse(b"{release, {\"../shop\", \"1\"}, {erts, \"13\"}, []}.").unwrap_err();
    assert!(matches!(name, FormatError::Text { .. }), "{name:?}");
    for torn in ["", "[", "[{release,\"shop\"", "[{release,\"shop\",\"1\",\"13\",[],gone}]."] {
        assert!(Releases::parse(torn.as_bytes()).is_err(), "{torn:?}");
    }
}

#[test]
fn a_rel_file_may_say_more_of_an_application() {
    let text = b"{release,{\"shop\",\"1\"},{erts,\"13\"},[{a,\"1\"},{b,\"2\",load},{c,\"3\",[a]},{d,\"4\",none,[a]}]}.";
    let names: Vec<String> = Rel::parse(text).unwrap().applications.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["a-1", "b-2", "c-3", "d-4"]);
}

#[test]
fn start_erl_is_two_words() {
    let pointer = StartErl::parse(b"13.1.5 0.2.0").unwrap();
    assert_eq!(pointer, StartErl::parse(b"13.1.5 0.2.0\n").unwrap());
    assert_eq!(pointer.to_string(), "13.1.5 0.2.0");
    for torn in ["", "13.1.5", "13.1.5 0.2.0 x", "13.1.5 ../x"] {
        assert!(StartErl::parse(torn.as_bytes()).is_err(), "{torn:?}");
    }
}

#[test]
fn the_version_in_a_start_script_is_found() {
    let script = "#!/bin/sh\nREL_NAME=\"shop\"\nREL_VSN=\"0.2.0\"\nexport RELEASE_VSN=\"0.1.0\"\n";
    assert_eq!(script_version(script.as_bytes()), Ok(Some("0.2.0".parse().unwrap())));
    assert_eq!(script_version(b"#!/bin/sh\nREL_VSN_OTHER=1\n"), Ok(None));
    assert!(matches!(script_version(b"REL_VSN=\"$X\"\n"), Err(PointerError::Script { .. })));
    assert!(matches!(script_version(b"REL_VSN=\"1\"\nREL_VSN=\"2\"\n"), Err(PointerError::Script { .. })));
    assert!(matches!(script_version(b"REL_VSN=\"\"\n"), Err(PointerError::Version { .. })));
}

#[test]
fn pointers_that_disagree_are_named_with_what_they_say() {
    let releases = Releases::parse(RELEASES.as_bytes()).unwrap();
    let start_erl = StartErl::parse(b"13.1.5 0.1.0").unwrap();
    let version = |text: &str| text.parse().unwrap();
    assert_eq!(agreed_version(&releases, Some(&start_erl), None), Ok(version("0.1.0")));
    assert_eq!(agreed_version(&releases, Some(&start_erl), Some(&version("0.1.0"))), Ok(version("0.1.0")));
    let torn = agreed_version(&releases, None, Some(&version("0.2.0"))).unwrap_err();
    assert_eq!(
        torn.to_string(),
        "the boot pointers disagree: RELEASES says 0.1.0, start_erl.data says nothing, \
         the start script says 0.2.0; repair the node"
    );
}

proptest! {
    #[test]
    fn arbitrary_terms_never_panic(text in r#"\{?(release|"1"|\[|\]|\{|\}|,|erts|undefined|permanent|point_of_no_return|load|3){0,24}\.?"#) {
        let _ = Rel::parse(text.as_bytes());
        let _ = Relup::parse(text.as_bytes());
        let _ = Releases::parse(text.as_bytes());
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = StartErl::parse(&bytes);
        let _ = script_version(&[b"REL_VSN=", bytes.as_slice()].concat());
    }

    #[test]
    fn any_directory_survives_in_releases(directory in "\\PC{0,20}") {
        let mut releases = Releases::parse(RELEASES.as_bytes()).unwrap();
        releases.entries[0].applications[0].directory = directory;
        prop_assert_eq!(Releases::parse(releases.to_string().as_bytes()), Ok(releases));
    }
}

#[test]
fn a_description_is_handed_back_as_it_was() {
    let relup = Relup::parse(RELUP.as_bytes()).unwrap();
    assert_eq!(relup.down_to(&"0.0.9".parse().unwrap()).unwrap().description, Term::string("text"));
}
