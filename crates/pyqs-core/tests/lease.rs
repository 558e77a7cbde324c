//! Rules 1 and 2: leases are never guessed, and are kept.

mod scene;

use pyqs_core::limits::LEASE_MIN;
use pyqs_core::{Action, EntryReply, Event, Instant, Outcome, Report, Settings, Share, Trouble};
use scene::{Q, Replies, Scene, ms, secs};

#[test]
fn every_receive_names_the_queues_own_timeout_or_what_can_be_kept_up() {
    let check = |own: u64, asked: u64| {
        let mut scene = Scene::with(own, 1);
        scene.wait(secs(1));
        let is_asked = |action: &Action| matches!(action, Action::Receive { visibility, .. } if visibility.as_secs() == asked);
        assert!(scene.count(is_asked) > 0, "queue's {own} s");
    };
    check(0, LEASE_MIN.as_secs());
    check(4, 5);
    check(5, 5);
    check(30, 30);
    check(43_200, 43_200 - 60);
}

/// Until when the lease of a message reckons, that came so long after the start.
fn lease_until(came_after_ms: u64, sleep_ms: u64) -> Option<Instant> {
    let mut scene = Scene::with(30, 1);
    scene.wait(ms(came_after_ms));
    scene.sleep(ms(sleep_ms));
    scene.receive(Q, 1);
    scene.log.iter().find_map(|(_, action)| match action {
        Action::Dispatch { lease_until, .. } => Some(*lease_until),
        _ => None,
    })
}

#[test]
fn a_lease_counts_from_the_earliest_moment_at_which_it_can_have_begun() {
    let at = |ms_: u64| Instant::ORIGIN + ms(ms_);
    // It came at once: no earlier than the request was sent.
    assert_eq!(lease_until(0, 0), Some(at(30_000)));
    assert_eq!(lease_until(100, 0), Some(at(30_000)));
    // Later: from the last settled tick, less the transit's two seconds.
    assert_eq!(lease_until(10_300, 0), Some(at(10_000 - 2_000 + 30_000)));
    // The machine slept: from the last tick before that.
    assert_eq!(
        lease_until(10_300, 20_000),
        Some(at(10_000 - 2_000 + 30_000))
    );
    // It slept for so long that nothing is left: not started.
    assert_eq!(lease_until(10_300, 28_000), None);
}

#[test]
fn what_lapsed_in_the_buffer_is_dropped_told_and_left_to_sqs() {
    let mut scene = Scene::with(30, 1);
    let keys = scene.receive(Q, 2);
    assert_eq!(scene.dispatched(), [keys[0]]);
    scene.replies = Replies::Trouble(Trouble::Unreachable);
    scene.wait(secs(31));
    assert!(scene.is_forgotten(keys[1]) && !scene.is_forgotten(keys[0]));
    assert_eq!(
        scene.reports(),
        [
            Report::LeaseLost {
                message: keys[0],
                queue: Q
            },
            Report::LeaseLapsedBeforeStart {
                message: keys[1],
                queue: Q
            },
        ]
    );
    assert_eq!(scene.consumer.snapshot().counters.lapsed_before_start, 1);
}

#[test]
fn nothing_starts_with_less_left_than_a_heartbeat_needs() {
    let check = |free_at_ms: u64, is_started: bool| {
        let mut scene = Scene::with(30, 1);
        let keys = scene.receive(Q, 2);
        scene.replies = Replies::Never;
        scene.wait(ms(free_at_ms));
        scene.succeed(keys[0]);
        assert_eq!(
            scene.dispatched().len() == 2,
            is_started,
            "free after {free_at_ms} ms"
        );
        assert_eq!(scene.is_forgotten(keys[1]), !is_started);
    };
    check(29_500, true);
    check(29_501, false);
}

#[test]
fn a_process_that_sees_a_lapsed_lease_does_not_start() {
    let mut scene = Scene::with(30, 1);
    let keys = scene.receive(Q, 1);
    // Extended since: once more.
    scene.end(keys[0], Outcome::NotStarted, ms(0));
    assert_eq!(scene.dispatched(), [keys[0], keys[0]]);
    scene.end(keys[0], Outcome::NotStarted, ms(0));
    assert!(scene.is_forgotten(keys[0]));
}

#[test]
fn a_heartbeat_is_in_time_for_two_thirds_of_the_lease_and_goes_on() {
    for visibility in [5, 30, 600] {
        let mut scene = Scene::with(visibility, 1);
        let keys = scene.receive(Q, 1);
        scene.wait(secs(visibility * 10));
        let beats = scene.changes();
        assert!(
            (15..=30).contains(&beats.len()),
            "{} heartbeats in ten leases",
            beats.len()
        );
        let mut lease_from = Instant::ORIGIN;
        for (at, key, length) in beats {
            assert_eq!((key, length), (keys[0], visibility));
            assert!(
                at < lease_from + secs(visibility) * 2 / 3,
                "{visibility} s: at {at}"
            );
            lease_from = at;
        }
        assert_eq!(scene.reports(), []);
    }
}

#[test]
fn heartbeats_of_a_queue_go_in_batches_of_ten() {
    let mut scene = Scene::with(30, 30);
    for _ in 0..3 {
        scene.receive(Q, 8);
        scene.wait(ms(300));
    }
    scene.wait(secs(16));
    let sizes = scene.log.iter().filter_map(|(_, action)| match action {
        Action::ChangeVisibility { messages, .. } => Some(messages.len()),
        _ => None,
    });
    assert_eq!(sizes.take(3).collect::<Vec<_>>(), [10, 10, 4]);
}

#[test]
fn a_lost_answer_leaves_the_old_deadline_and_is_tried_again() {
    let mut scene = Scene::with(30, 1);
    scene.receive(Q, 1);
    scene.replies = Replies::Trouble(Trouble::TimedOut);
    scene.wait(secs(20));
    let beats = scene.changes().len();
    assert!((2..10).contains(&beats), "{beats} tries");
    scene.replies = Replies::Each(EntryReply::Done);
    scene.wait(secs(60));
    assert_eq!(scene.reports(), []);
}

#[test]
fn a_receipt_that_sqs_refuses_is_a_lost_lease_told_once() {
    let mut scene = Scene::with(30, 1);
    let keys = scene.receive(Q, 1);
    scene.replies = Replies::Each(EntryReply::ReceiptExpired);
    scene.wait(secs(300));
    assert_eq!(
        scene.reports(),
        [Report::LeaseLost {
            message: keys[0],
            queue: Q
        }]
    );
    assert_eq!(scene.changes().len(), 1);
}

#[test]
fn extensions_end_before_the_twelve_hours_do() {
    let mut scene = Scene::with(3600, 1);
    let keys = scene.receive(Q, 1);
    scene.wait(secs(13 * 3600));
    let ends = scene
        .changes()
        .into_iter()
        .map(|(at, _, length)| at + secs(length));
    let latest = ends.max().expect("it was extended");
    assert!(latest <= Instant::ORIGIN + secs(12 * 3600 - 60), "{latest}");
    assert!(latest >= Instant::ORIGIN + secs(12 * 3600 - 62), "{latest}");
    let (message, queue) = (keys[0], Q);
    assert_eq!(
        scene.reports().last(),
        Some(&Report::LeaseLost { message, queue })
    );
}

#[test]
fn a_bound_on_extensions_counts_from_the_dispatch() {
    let mut scene = Scene::new(Settings {
        extend_visibility_max: Some(secs(100)),
        ..Settings::default()
    });
    scene.queue(Q, 30, false, Share::default());
    scene.processes(1, None);
    let keys = scene.receive(Q, 2);
    scene.wait(secs(60));
    scene.succeed(keys[0]);
    assert_eq!(scene.dispatched(), keys);
    scene.wait(secs(200));
    let ends = scene
        .changes()
        .into_iter()
        .filter(|&(_, key, _)| key == keys[1])
        .map(|(at, _, length)| at + secs(length));
    let latest = ends.max().expect("it was extended");
    assert!(
        latest > Instant::ORIGIN + secs(158) && latest <= Instant::ORIGIN + secs(160),
        "{latest}"
    );
}

#[test]
fn without_extension_what_waits_too_long_is_dropped_as_in_pyqs() {
    let mut scene = Scene::new(Settings {
        extend_visibility: false,
        ..Settings::default()
    });
    scene.queue(Q, 30, false, Share::default());
    scene.processes(1, None);
    let keys = scene.receive(Q, 2);
    scene.wait(secs(40));
    assert_eq!(scene.changes(), []);
    assert!(scene.is_forgotten(keys[1]));
    scene.succeed(keys[0]);
    assert_eq!(scene.deletes(), [[keys[0]]]);
}

#[test]
fn a_late_reply_to_a_heartbeat_changes_nothing_for_a_forgotten_message() {
    let mut scene = Scene::with(30, 1);
    scene.replies = Replies::Never;
    let keys = scene.receive(Q, 1);
    scene.wait(secs(16));
    let request = scene.log.iter().find_map(|(_, action)| match action {
        Action::ChangeVisibility { request, .. } => Some(*request),
        _ => None,
    });
    let request = request.expect("a heartbeat was sent");
    scene.end(keys[0], Outcome::Failed, ms(1));
    // The change waits for the heartbeat's answer, lest it be overtaken.
    assert_eq!(scene.changes().len(), 1);
    scene.tell(Event::VisibilityChanged {
        request,
        reply: Ok(vec![(keys[0], EntryReply::Done)]),
    });
    assert_eq!(scene.changes().len(), 2);
    scene.tell(Event::VisibilityChanged {
        request,
        reply: Ok(vec![(keys[0], EntryReply::Done)]),
    });
    assert_eq!(scene.changes().len(), 2);
}

#[test]
fn the_end_of_the_twelve_hours_is_told_before_it_comes_once() {
    let mut scene = Scene::with(30, 1);
    let keys = scene.receive(Q, 1);
    let message = keys[0];
    let reported = |scene: &Scene| {
        let reports = scene.log.iter().filter_map(|(at, action)| match action {
            Action::Report(Report::LeaseNearItsEnd { left, .. }) => Some((*at, *left)),
            _ => None,
        });
        reports.collect::<Vec<_>>()
    };
    scene.wait(secs(11 * 3600));
    assert_eq!(reported(&scene), []);
    scene.wait(secs(3600));
    let told = reported(&scene);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].1 >= secs(9 * 60) && told[0].1 <= secs(10 * 60),
        "{told:?}"
    );
    let lost = Report::LeaseLost { message, queue: Q };
    assert!(scene.reports().contains(&lost), "and then it is over");
}
