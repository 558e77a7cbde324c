//! Rule 10: trouble backs off per queue, for ever, and nothing polls in a hot loop.

mod scene;

use pyqs_core::limits::TOLD_AFTER_FAILURES;
use pyqs_core::{Action, EntryReply, Event, QueueId, Report, Settings, Share, Trouble};
use scene::{Q, Replies, Scene, ms, secs};

/// How many polls are sent within a minute if each of them ends as `answer` says, at once.
fn polls_in_a_minute(
    scene: &mut Scene,
    answer: impl Fn(&mut Scene, pyqs_core::PollId) -> Event,
) -> usize {
    let count = |scene: &Scene| scene.count(|action| matches!(action, Action::Receive { .. }));
    let before = count(scene);
    let end = scene.now + secs(60);
    while scene.now < end {
        if scene.polls.get(&Q).is_some_and(|polls| !polls.is_empty()) {
            let poll = scene.take_poll(Q);
            let event = answer(scene, poll);
            scene.tell(event);
        }
        scene.wait(ms(1));
    }
    count(scene) - before
}

#[test]
fn no_answer_whatever_makes_a_hot_loop() {
    let (passing, refused) = ((15..=30, 12..=25), (5..=15, 3..=7));
    for (trouble, (first, later)) in [
        (Trouble::Throttled, &passing),
        (Trouble::Unreachable, &passing),
        (Trouble::TimedOut, &passing),
        (Trouble::ServerError, &passing),
        (Trouble::Denied, &refused),
        (Trouble::QueueMissing, &refused),
        (Trouble::Rejected, &refused),
    ] {
        let mut scene = Scene::with(30, 1);
        let polls = polls_in_a_minute(&mut scene, |_, poll| Event::ReceiveFailed { poll, trouble });
        assert!(first.contains(&polls), "{trouble:?}: {polls} polls");
        // And on it goes, for ever.
        let polls = polls_in_a_minute(&mut scene, |_, poll| Event::ReceiveFailed { poll, trouble });
        assert!(
            later.contains(&polls),
            "{trouble:?}: {polls} polls in the second minute"
        );
        assert_eq!(scene.reports(), [Report::PollTrouble { queue: Q, trouble }]);
    }
}

#[test]
fn an_endpoint_that_does_not_wait_is_not_asked_all_the_time() {
    let mut scene = Scene::with(30, 1);
    let polls = polls_in_a_minute(&mut scene, |_, poll| Event::Received {
        poll,
        messages: Vec::new(),
    });
    assert!((10..=40).contains(&polls), "{polls} polls");
}

#[test]
fn recovery_is_told_and_the_pace_is_back() {
    let mut scene = Scene::with(30, 1);
    let trouble = Trouble::Unreachable;
    for _ in 0..5 {
        let poll = scene.take_poll(Q);
        scene.tell(Event::ReceiveFailed { poll, trouble });
        scene.wait(secs(20));
    }
    assert!(scene.consumer.snapshot().queues[&Q].is_troubled);
    let keys = scene.receive(Q, 1);
    let told = [
        Report::PollTrouble { queue: Q, trouble },
        Report::PollRecovered { queue: Q },
    ];
    assert_eq!(scene.reports(), told);
    assert_eq!(
        scene.consumer.snapshot().queues[&Q].polled_at,
        Some(scene.now)
    );
    scene.succeed(keys[0]);
    assert_eq!(scene.polls[&Q].len(), 1);
}

#[test]
fn another_kind_of_trouble_is_told_again() {
    let mut scene = Scene::with(30, 1);
    for trouble in [
        Trouble::Throttled,
        Trouble::Unreachable,
        Trouble::Unreachable,
        Trouble::ServerError,
        Trouble::Denied,
        Trouble::Denied,
        Trouble::TimedOut,
    ] {
        let poll = scene.take_poll(Q);
        scene.tell(Event::ReceiveFailed { poll, trouble });
        scene.wait(secs(20));
    }
    // An endpoint that goes down shows one passing trouble after the other: that is one state.
    let told = [Trouble::Unreachable, Trouble::Denied, Trouble::TimedOut];
    let told = told.map(|trouble| Report::PollTrouble { queue: Q, trouble });
    assert_eq!(scene.reports(), told);
}

#[test]
fn a_receive_that_fails_now_and_then_is_not_told_of() {
    let mut scene = Scene::with(30, 1);
    for trouble in [
        Trouble::Throttled,
        Trouble::ServerError,
        Trouble::Unreachable,
    ] {
        for _ in 1..TOLD_AFTER_FAILURES {
            let poll = scene.take_poll(Q);
            scene.tell(Event::ReceiveFailed { poll, trouble });
            scene.wait(secs(5));
        }
        let keys = scene.receive(Q, 1);
        scene.succeed(keys[0]);
    }
    assert_eq!(scene.reports(), []);
}

#[test]
fn deletes_that_are_refused_are_told_of_once_while_receives_go_well() {
    let mut scene = Scene::with(30, 1);
    let keys = scene.receive(Q, 2);
    let trouble = Trouble::Denied;
    scene.replies = Replies::Trouble(trouble);
    for key in keys {
        scene.succeed(key);
    }
    scene.wait(secs(60));
    let mut told = vec![Report::DeletesRefused { queue: Q, trouble }];
    assert_eq!(scene.reports(), told);

    scene.replies = Replies::Each(EntryReply::Done);
    scene.wait(secs(10));
    told.push(Report::DeletesTaken { queue: Q });
    assert_eq!(scene.reports(), told);
}

#[test]
fn deletes_in_trouble_that_passes_are_left_to_the_receives_to_tell() {
    for trouble in [
        Trouble::Throttled,
        Trouble::Unreachable,
        Trouble::QueueMissing,
    ] {
        let mut scene = Scene::with(30, 1);
        let keys = scene.receive(Q, 1);
        scene.replies = Replies::Trouble(trouble);
        scene.succeed(keys[0]);
        scene.wait(secs(20));
        assert_eq!(scene.reports(), []);
    }
}

#[test]
fn one_queues_trouble_is_not_anothers() {
    let mut scene = Scene::new(Settings::default());
    let other = QueueId(1);
    scene.queue(Q, 30, false, Share::default());
    scene.queue(other, 30, false, Share::default());
    scene.processes(2, None);
    let poll = scene.take_poll(Q);
    scene.tell(Event::ReceiveFailed {
        poll,
        trouble: Trouble::Throttled,
    });
    let keys = scene.receive(other, 1);
    scene.succeed(keys[0]);
    assert!(scene.polls[&Q].is_empty() && !scene.polls[&other].is_empty());
}

#[test]
fn messages_that_are_stale_when_they_come_do_not_make_a_hot_loop() {
    let mut scene = Scene::with(5, 1);
    let polls = polls_in_a_minute(&mut scene, |scene, poll| {
        // Each reply comes after the process was stopped for a while.
        scene.sleep(secs(6));
        Event::Received {
            poll,
            messages: vec![scene.arrival()],
        }
    });
    assert!(polls <= 12, "{polls} polls");
    assert!(scene.dispatched().is_empty());
}

#[test]
fn a_receive_that_never_comes_back_is_told_once_and_again_after_the_next() {
    let mut scene = Scene::with(30, 1);
    scene.keeps_polls = true;
    let overdue = Report::PollOverdue { queue: Q };
    scene.wait(secs(34));
    assert_eq!(scene.reports(), []);
    scene.wait(secs(2));
    assert_eq!(scene.reports(), [overdue]);
    scene.wait(secs(600));
    assert_eq!(scene.reports(), [overdue], "once");
    assert_eq!(scene.consumer.snapshot().counters.polls_overdue, 1);
    assert_eq!(scene.consumer.snapshot().queues[&Q].polled_at, None);

    scene.bring(Q, Vec::new());
    assert_eq!(
        scene.reports(),
        [overdue, Report::PollRecovered { queue: Q }]
    );
    scene.wait(secs(36));
    assert_eq!(scene.reports().len(), 3);
}

#[test]
fn a_receive_that_a_sleep_made_late_is_not_overdue() {
    let mut scene = Scene::with(30, 1);
    scene.keeps_polls = true;
    scene.wait(secs(10));
    scene.sleep(secs(3600));
    // What came meanwhile is still to be read, and a broken connection to be noticed.
    scene.wait(secs(30));
    assert_eq!(scene.reports(), []);
    scene.bring(Q, Vec::new());
    scene.wait(secs(30));
    assert_eq!(scene.reports(), []);
}
