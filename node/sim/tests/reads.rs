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
use relupd_sim::machine::{Readings, Recorded};
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
    let machine = Recorded::new(
        ClusterState::awaited(setting.cluster),
        Format::NEWEST,
        None,
        Readings::default(),
        channel().0,
    );
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
    let now = lead(&mut members, &setting);

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

/// Seed 2335: a leader that had not been scheduled for a while answered a read without asking anybody. What
/// had been acknowledged was an older question, whose answer had got lost and which came again.
#[test]
fn an_old_acknowledgement_does_not_answer_a_newer_read() {
    let mut shape = Shape::draw(1);
    (shape.hosts, shape.voters) = (VOTERS, VOTERS);
    let setting = genesis::setting(1, &shape);
    let mut members: Vec<_> = (0..VOTERS).map(|place| member(place, &setting, &shape)).collect();
    let mut now = lead(&mut members, &setting);

    let _asked = members[1].member.read(now);
    let question = say(&mut members[1], now);
    hear(&mut members[0], &question, now);
    let beats = say(&mut members[0], now);
    let acknowledgements: Vec<Vec<Message>> = [1, 2]
        .map(|place: usize| {
            let to = place as u64 + 1;
            let beats: Vec<Message> = beats.iter().filter(|beat| beat.to == to).cloned().collect();
            hear(&mut members[place], &beats, now);
            say(&mut members[place], now)
        })
        .into();
    hear(&mut members[0], &acknowledgements[0], now);
    let answer = say(&mut members[0], now);
    assert!(answer.iter().any(|message| message.get_msg_type() == MessageType::MsgReadIndexResp));

    // The answer gets lost, the other acknowledgement is late, and the question comes again.
    now = now + Duration::from_millis(250);
    let mut newer = members[0].member.read(now);
    say(&mut members[0], now);
    hear(&mut members[0], &question, now);
    hear(&mut members[0], &acknowledgements[1], now);
    say(&mut members[0], now);
    assert!(newer.poll().is_none(), "nobody was asked since");
}

/// The first member leads, and everybody knows.
fn lead(members: &mut [Member], setting: &Setting) -> Monotonic {
    let ticks = setting.options.election_ticks;
    let mut now = Monotonic::default();
    while !members[0].member.leadership().is_self {
        now = now + Duration::from_millis(250);
        for (place, one) in members.iter_mut().enumerate() {
            let timeout = if place == 0 { ticks } else { 2 * ticks - 1 };
            one.member.tick(timeout, now).expect("its disk works");
        }
        settle(members, now);
    }
    now
}

fn hear(member: &mut Member, messages: &[Message], now: Monotonic) {
    for message in messages {
        member.member.receive(message.clone(), now);
    }
}

/// What it has to send.
fn say(member: &mut Member, now: Monotonic) -> Vec<Message> {
    member.member.work_off(now).expect("its disk works");
    member.outbox.try_iter().collect()
}
