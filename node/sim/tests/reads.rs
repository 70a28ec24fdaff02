//! A linearizable read costs a message to each voter and none to a learner.

use raft::eraftpb::{Message, MessageType};
use relupd::clock::Monotonic;
use relupd::consensus::Storage;
use relupd::consensus::stepped::Stepped;
use relupd::format::Format;
use relupd::state::ClusterState;
use relupd_sim::daemon::Setting;
use relupd_sim::disk::SimulatedDisk;
use relupd_sim::genesis::{self, Shape, node_id};
use relupd_sim::machine::Recorded;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

const HOSTS: usize = 5;
const VOTERS: usize = 3;

struct Member {
    member: Stepped<Recorded>,
    outbox: Receiver<Message>,
}

fn member(place: usize, setting: &Setting, shape: &Shape) -> Member {
    let disk = SimulatedDisk::default();
    let state = genesis::state(shape).encode();
    genesis::format(&disk, setting, place, shape, state.into()).expect("a new disk works");
    let storage = Storage::open_on(Box::new(disk), setting.cluster, node_id(place)).expect("its own disk");
    let (send, outbox) = channel();
    let send = Box::new(move |message| send.send(message).expect("the test listens"));
    let machine = Recorded::new(ClusterState::awaited(setting.cluster), Format::NEWEST, None, channel().0);
    let options = setting.options.clone();
    let mut member = Stepped::new(storage, machine, send, options, place as u64).expect("a member");
    member.begin(Monotonic::default()).expect("it begins");
    Member { member, outbox }
}

/// Delivers everything until nobody has anything to say; returns what was sent.
fn settle(members: &mut [Member], now: Monotonic) -> Vec<Message> {
    let mut sent = Vec::new();
    loop {
        for one in members.iter_mut() {
            one.member.work_off(now).expect("its disk works");
        }
        let messages: Vec<Message> = members.iter().flat_map(|one| one.outbox.try_iter()).collect();
        if messages.is_empty() {
            return sent;
        }
        for message in &messages {
            let to = usize::try_from(message.to - 1).expect("a place");
            members[to].member.receive(message.clone(), now);
        }
        sent.extend(messages);
    }
}

#[test]
fn a_read_asks_voters_only() {
    let mut shape = Shape::draw(1);
    (shape.hosts, shape.voters) = (HOSTS, VOTERS);
    let setting = genesis::setting(1, &shape);
    let mut members: Vec<_> = (0..HOSTS).map(|place| member(place, &setting, &shape)).collect();
    let ticks = setting.options.election_ticks;
    let mut now = Monotonic::default();
    while !members[0].member.leadership().is_self {
        now = now + Duration::from_millis(250);
        for (place, one) in members.iter_mut().enumerate() {
            let timeout = if place == 0 { ticks } else { 2 * ticks - 1 };
            one.member.tick(timeout, now).expect("its disk works");
        }
        settle(&mut members, now);
    }

    let mut read = members[0].member.read(now);
    let sent = settle(&mut members, now);
    assert!(read.poll().is_some(), "the read is answered");
    let asked: Vec<u64> = sent
        .iter()
        .filter(|message| message.get_msg_type() == MessageType::MsgHeartbeat)
        .map(|message| message.to)
        .collect();
    assert_eq!(asked, [2, 3], "4 and 5 are learners");

    // The heartbeat that everybody gets goes on.
    for _ in 0..setting.options.heartbeat_ticks {
        members[0].member.tick(ticks, now).expect("its disk works");
    }
    let beats = settle(&mut members, now);
    let learners = beats.iter().filter(|message| message.to > 3);
    assert!(learners.count() >= HOSTS - VOTERS);
}
