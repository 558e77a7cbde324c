//! Rule 4: messages are fetched by need, and idling costs next to nothing.

mod scene;

use std::collections::BTreeSet;

use pyqs_core::limits::{
    BATCH_MAX, BUFFER_BYTES_MAX, BUFFER_MESSAGES_MAX, PIPELINE_MAX, POLLS_MAX, UNCONFIRMED_MAX,
};
use pyqs_core::{
    Action, Arrival, Event, MessageKey, Outcome, QueueId, Settings, Share, TaskKind, Work,
};
use scene::{Q, Scene, ms, secs};

/// What the next poll asks for, with so many processes free, once tasks of that length are known.
fn max_asked(processes: u32, task: Option<std::time::Duration>) -> Option<u8> {
    let mut scene = Scene::with(600, processes);
    if let Some(task) = task {
        let keys = scene.receive(Q, 1);
        scene.end(keys[0], pyqs_core::Outcome::Succeeded, task);
        scene.wait(secs(60));
    }
    scene.polls[&Q].back().map(|&(_, max, _)| max)
}

#[test]
fn a_poll_asks_for_what_will_start_within_a_second() {
    // One for a free slot while the length of tasks is unknown: they may be long.
    assert_eq!(max_asked(1, None), Some(1));
    assert_eq!(max_asked(4, None), Some(4));
    assert_eq!(max_asked(1, Some(secs(60))), Some(1));
    assert_eq!(max_asked(4, Some(secs(2))), Some(4));
    assert_eq!(max_asked(1, Some(ms(500))), Some(2));
    assert_eq!(max_asked(1, Some(ms(100))), Some(10));
    assert_eq!(max_asked(2, Some(ms(1))), Some(10));
}

/// Of two processes with a long queue of tasks that take so long: receives and deletes for a thousand tasks.
fn requests_for_1000(took: std::time::Duration) -> (usize, usize) {
    let mut scene = Scene::with(600, 2);
    let mut ended = 0;
    let mut counts = (0, 0);
    while ended < 1500 {
        while let Some(&(_, max, _)) = scene.polls.get(&Q).and_then(|polls| polls.back()) {
            scene.receive(Q, usize::from(max));
        }
        scene.wait(took);
        let given: Vec<MessageKey> = scene.dispatched()[ended..].to_vec();
        for key in given.into_iter().take(2) {
            scene.end(key, Outcome::Succeeded, took);
            ended += 1;
        }
        if ended == 500 {
            counts = (receives(&scene), scene.deletes().len());
        }
    }
    (
        receives(&scene) - counts.0,
        scene.deletes().len() - counts.1,
    )
}

fn receives(scene: &Scene) -> usize {
    scene.count(|action| matches!(action, Action::Receive { .. }))
}

#[test]
fn tasks_of_some_milliseconds_cost_no_more_requests_than_tiny_ones() {
    for took in [1, 2, 5, 10] {
        let (receives, deletes) = requests_for_1000(ms(took));
        assert!(receives <= 101, "{receives} receives, tasks of {took} ms");
        assert!(deletes <= 105, "{deletes} deletes, tasks of {took} ms");
    }
    // Not many are done with within the time that a delete may wait.
    let (receives, deletes) = requests_for_1000(ms(100));
    assert!(receives <= 200, "{receives} receives");
    assert!(deletes <= 1000, "{deletes} deletes");
}

#[test]
fn an_idle_queue_costs_three_polls_a_minute_and_no_calls_but_ticks() {
    for queues in [1, 20] {
        let mut scene = Scene::new(Settings::default());
        for queue in 0..queues {
            scene.queue(QueueId(queue), 30, false, Share::default());
        }
        scene.processes(4, None);
        scene.wait(secs(100));
        // Polls wake it, and ticks: what is left is to see whether a poll comes back at all.
        let wakeup = scene.consumer.next_wakeup();
        assert!(
            wakeup.is_none_or(|at| at > scene.now + secs(20)),
            "{wakeup:?}"
        );
        let count = |scene: &Scene| scene.count(|action| matches!(action, Action::Receive { .. }));
        let before = count(&scene);
        scene.wait(secs(600));
        assert_eq!(count(&scene) - before, 30 * queues as usize);
        assert!(scene.polls.values().all(|polls| polls.len() == 1));
    }
}

#[test]
fn nothing_is_polled_without_a_process() {
    let mut scene = Scene::with(30, 0);
    scene.wait(secs(60));
    assert!(scene.log.is_empty());
}

#[test]
fn long_tasks_are_not_hoarded() {
    let mut scene = Scene::with(600, 4);
    let mut running = scene.receive(Q, 4);
    for _ in 0..20 {
        scene.wait(secs(30));
        let polls = scene.polls[&Q].len();
        assert_eq!(polls, 0, "all slots are busy for half a minute");
        for key in std::mem::take(&mut running) {
            scene.end(key, pyqs_core::Outcome::Succeeded, secs(30));
        }
        running = scene.receive(Q, 4);
    }
    assert_eq!(scene.consumer.snapshot().queues[&Q].buffered, 0);
}

/// A queue of which half can't be read is asked for twice as much as there are free slots, and for nothing when
/// none is free: what waits behind long tasks is other workers'.
#[test]
fn what_cant_be_read_is_made_up_for_but_long_tasks_are_not_hoarded_for_it() {
    let mut scene = Scene::with(600, 4);
    for _ in 0..40 {
        let Some(&(_, max, _)) = scene.polls[&Q].front() else {
            break;
        };
        assert!(max <= 10, "{max}");
        let mut messages = vec![scene.arrival(), scene.arrival()];
        messages[0].work = Work::Poison;
        messages.truncate(max.into());
        scene.bring(Q, messages);
        scene.wait(ms(1));
    }
    assert_eq!(scene.dispatched().len(), 4);
    let running = scene.dispatched();
    assert!(scene.polls[&Q].is_empty(), "all slots are busy");
    assert!(scene.consumer.snapshot().queues[&Q].buffered <= 2);
    let ended = running.into_iter().map(|message| Event::TaskEnded {
        message,
        outcome: Outcome::Succeeded,
        took: secs(30),
    });
    scene.tell_all(ended.collect());
    let asked = scene.polls[&Q].back().map(|&(_, max, _)| max);
    assert!(matches!(asked, Some(6..=10)), "{asked:?}");
}

/// Answers every poll with a full batch, and lets each task end after a millisecond, for so long.
fn flood(scene: &mut Scene, steps: u32) {
    let mut running: Vec<MessageKey> = Vec::new();
    for _ in 0..steps {
        let polls: Vec<_> = scene
            .polls
            .iter_mut()
            .flat_map(|(&queue, polls)| polls.drain(..).map(move |poll| (queue, poll)))
            .collect();
        let mut events = Vec::new();
        for (queue, (poll, max, _)) in polls {
            let work = Work::Task(TaskKind(queue.0));
            let messages = (0..max)
                .map(|_| pyqs_core::Arrival {
                    work,
                    ..scene.arrival()
                })
                .collect();
            events.push(Event::Received { poll, messages });
        }
        for message in std::mem::take(&mut running) {
            let (outcome, took) = (pyqs_core::Outcome::Succeeded, ms(1));
            events.push(Event::TaskEnded {
                message,
                outcome,
                took,
            });
        }
        for action in scene.tell_all(events) {
            if let Action::Dispatch { message, .. } = action {
                running.push(message);
            }
        }
        let snapshot = scene.consumer.snapshot();
        let buffered: usize = snapshot.queues.values().map(|queue| queue.buffered).sum();
        let polls: usize = snapshot.queues.values().map(|queue| queue.polls).sum();
        assert!(buffered <= BUFFER_MESSAGES_MAX, "{buffered} are buffered");
        assert!(polls <= POLLS_MAX * snapshot.queues.len());
        scene.wait(ms(1));
    }
}

#[test]
fn more_polls_are_opened_while_full_batches_come_and_few_requests_are_spent() {
    let mut scene = Scene::with(30, 2);
    flood(&mut scene, 2000);
    let counters = scene.consumer.snapshot().counters;
    let requests = scene.count(|action| {
        matches!(
            action,
            Action::Receive { .. } | Action::Delete { .. } | Action::ChangeVisibility { .. }
        )
    });
    assert!(counters.succeeded > 10_000, "{counters:?}");
    let tasks = usize::try_from(counters.succeeded).expect("a few thousand");
    assert!(
        requests * 4 <= tasks,
        "{requests} requests for {tasks} tasks"
    );
}

#[test]
fn several_busy_queues_share_the_buffer() {
    let mut scene = Scene::new(Settings::default());
    for queue in 0..3 {
        scene.queue(QueueId(queue), 30, false, Share::default());
    }
    scene.processes(2, None);
    flood(&mut scene, 1000);
    let snapshot = scene.consumer.snapshot();
    for (queue, state) in snapshot.queues {
        assert!(state.buffered > 0, "{queue:?} has nothing to run");
    }
}

/// A queue without end, of which ten thousand messages fail and as many are poison: what is held
/// does not depend on how many there are.
#[test]
fn what_is_held_is_bounded_whatever_waits_and_fails() {
    let processes = 4;
    let mut scene = Scene::with(30, processes);
    let held_max = BUFFER_MESSAGES_MAX
        + PIPELINE_MAX * processes as usize
        + UNCONFIRMED_MAX
        + POLLS_MAX * usize::from(BATCH_MAX);
    let (mut held, mut most, mut received) = (BTreeSet::new(), 0, 0u32);
    let mut running: Vec<MessageKey> = Vec::new();
    while received < 200_000 {
        let mut events = vec![Event::Timer];
        for (poll, max, _) in std::mem::take(scene.polls.entry(Q).or_default()) {
            let messages: Vec<Arrival> = (received..received + u32::from(max))
                .map(|number| Arrival {
                    work: if number % 20 == 0 {
                        Work::Poison
                    } else {
                        Work::Task(TaskKind(0))
                    },
                    ..scene.arrival()
                })
                .collect();
            received += u32::from(max);
            held.extend(messages.iter().map(|arrival| arrival.key));
            events.push(Event::Received { poll, messages });
        }
        for message in std::mem::take(&mut running) {
            let outcome = if message.0 % 20 == 10 {
                Outcome::Failed
            } else {
                Outcome::Succeeded
            };
            let took = std::time::Duration::from_micros(20);
            events.push(Event::TaskEnded {
                message,
                outcome,
                took,
            });
        }
        for action in scene.tell_all(events) {
            match action {
                Action::Dispatch { message, .. } => running.push(message),
                Action::Forget { message } => assert!(held.remove(&message)),
                _ => {}
            }
        }
        most = most.max(held.len());
        scene.log.clear();
        scene.wait(ms(1));
        for (_, action) in std::mem::take(&mut scene.log) {
            match action {
                Action::Dispatch { message, .. } => running.push(message),
                Action::Forget { message } => assert!(held.remove(&message)),
                _ => {}
            }
        }
    }
    assert!(
        most <= held_max,
        "{most} were held, and not {held_max} at most"
    );
    let counters = scene.consumer.snapshot().counters;
    assert!(
        counters.failed > 9_000 && counters.poison > 9_000,
        "{counters:?}"
    );
}

/// However large messages are, what is held is bounded, and something always comes; also where all queues are busy.
#[test]
fn large_messages_are_held_by_bytes_and_not_by_number() {
    for (bytes, queues) in [1, 1000, 64 << 10, 1 << 20]
        .into_iter()
        .flat_map(|bytes| [1, 10, 100].map(|queues| (bytes, queues)))
    {
        let mut scene = Scene::new(Settings::default());
        for queue in 0..queues {
            scene.queue(QueueId(queue), 30, false, Share::default());
        }
        scene.processes(2, None);
        let (mut most, mut ended) = (0, 0);
        for _ in 0..500 {
            let polls = std::mem::take(&mut scene.polls);
            let mut events = Vec::new();
            for (poll, max, _) in polls.into_values().flatten() {
                let arrivals = (0..max).map(|_| Arrival {
                    bytes,
                    ..scene.arrival()
                });
                let messages = arrivals.collect();
                events.push(Event::Received { poll, messages });
            }
            for message in scene.dispatched() {
                events.push(Event::TaskEnded {
                    message,
                    outcome: Outcome::Succeeded,
                    took: ms(1),
                });
                ended += 1;
            }
            scene.log.clear();
            scene.tell_all(events);
            let snapshot = scene.consumer.snapshot();
            let held: usize = snapshot.queues.values().map(|queue| queue.bytes).sum();
            most = most.max(held);
            scene.wait(ms(2));
        }
        assert!(ended > 300, "{ended} of {bytes} bytes ended");
        // Of what nothing is known a batch is asked for.
        let batches = queues as usize * usize::from(BATCH_MAX) * bytes;
        assert!(
            most <= BUFFER_BYTES_MAX + batches,
            "{most} bytes are held, in {queues} queues"
        );
    }
}

#[test]
fn a_small_buffer_is_never_exceeded_by_one_queue() {
    for buffer_max in [1, 2, 7] {
        let mut scene = Scene::new(Settings {
            buffer_max,
            ..Settings::default()
        });
        scene.queue(Q, 30, false, Share::default());
        scene.processes(1, None);
        let mut running = Vec::new();
        for _ in 0..200 {
            while let Some((_, max, _)) =
                scene.polls.get(&Q).and_then(|polls| polls.front().copied())
            {
                scene.receive(Q, max.into());
                let buffered = scene.consumer.snapshot().queues[&Q].buffered;
                assert!(
                    buffered <= buffer_max,
                    "{buffered} are buffered of {buffer_max}"
                );
            }
            running.extend(scene.dispatched().into_iter().skip(running.len()));
            for key in running.clone() {
                scene.succeed(key);
            }
            scene.wait(ms(2));
        }
        assert!(running.len() > 100);
    }
}
