//! The verdicts on what was seen and answered all the time.

use super::{
    Part, Stage,
    answers::{Answers, Moment, Window},
    report,
};
use crate::{
    error::Result,
    verdict::{Tests, expect},
};

/// Milliseconds that two answers on a connection that is held may be apart: a segment that is sent again, twice.
pub(super) const STILL: u128 = 3_000;
/// The same for questions of one packet each, of which a few in a row may be lost.
pub(super) const STILL_LOSING: u128 = 5_000;
/// One in so many packets may be lost: Open vSwitch's userspace datapath loses some whenever a port comes or goes, as the part without
/// the program shows.
const LOST_AT_MOST_ONE_IN: usize = 50;

impl Stage {
    /// Every verdict; from `enforced` on nobody whom the policy protects may answer a stranger.
    pub(super) fn judge(&self, tests: &mut Tests<'_>, parts: &[Part], enforced: Moment) {
        tests.run("every_runtime_had_a_network_all_the_time", || {
            let (looks, trouble) = self.watch.looks()?;
            expect(looks > 100, || format!("only {looks} looks at the runtimes"))?;
            expect(trouble.is_empty(), || trouble.join("\n"))?;
            let loaded = self.watch.loaded()?;
            let all = loaded.iter().flat_map(|(node, states)| states.iter().map(move |(at, state)| (node, at, state)));
            let without: Vec<_> =
                all.filter(|(_, _, state)| !state.starts_with("ok kube-ovn=kube-ovn+portmap")).collect();
            expect(without.is_empty(), || format!("{without:?}"))
        });
        let Some(answers) = tests.run("answers_are_read", || Answers::read_all(&self.town.answers)) else { return };
        tests.run("a_stranger_is_never_answered_and_always_elsewhere", || stranger(&answers, parts, enforced));
        let told: Vec<&Answers> = answers.iter().filter(|one| one.who != "stranger" || one.target == "web").collect();
        let title = "longest time between two answers, without a pod's own restart";
        let lines = tests.run("gaps_are_told", || report::lines(self, title, &told, parts, |one| self.excused(one)));
        if let Some(lines) = lines {
            for line in lines {
                tests.note(&line);
            }
        }
        for part in parts {
            tests.run(&format!("{}_breaks_nothing_from_pod_to_pod", part.name), || {
                let mut wrong = Vec::new();
                for one in answers.iter().filter(|one| is_direct(one)) {
                    let excused = self.excused(one)?;
                    let answered = one.answered_at(part.time).len();
                    if answered == 0 {
                        wrong.push(format!("{}: no answer at all", one.name()));
                    }
                    let failures = one.failures(part.time, &excused);
                    let held = one.target.ends_with("-held");
                    let (may_lose, still) =
                        if held { (0, STILL) } else { (answered / LOST_AT_MOST_ONE_IN, STILL_LOSING) };
                    if failures.len() > may_lose {
                        wrong.extend(failures);
                    }
                    if let Some(gap) = one.longest_gap(part.time, &excused).filter(|gap| gap.milliseconds > still) {
                        wrong.push(format!("{}: {gap} without an answer", one.name()));
                    }
                }
                expect(wrong.is_empty(), || {
                    format!("{} in all:\n{}", wrong.len(), wrong[..wrong.len().min(12)].join("\n"))
                })
            });
        }
    }

    /// When the pods of both sides were being made again.
    pub(super) fn excused(&self, one: &Answers) -> Result<Vec<Window>> {
        let target = one.target.trim_end_matches("-held").trim_end_matches("-udp");
        let target = match target {
            "vip" if one.who == "node" => "web",
            "vip" => "db",
            other => other,
        };
        self.watch.away(&[target, &format!("{}-{}", one.who, one.on)])
    }
}

/// Pod to pod, and node to its own pods: no service between them.
fn is_direct(one: &Answers) -> bool {
    one.target.starts_with("db-") && one.who != "stranger"
}

/// The policy lets nobody but clients reach the databases; a stranger that is answered elsewhere shows that it asked.
fn stranger(answers: &[Answers], parts: &[Part], enforced: Moment) -> Result<()> {
    let time = Window { from: enforced, to: Moment::MAX };
    let of = |target: &dyn Fn(&str) -> bool| -> Vec<&Answers> {
        answers.iter().filter(|one| one.who == "stranger" && target(&one.target)).collect()
    };
    let forbidden = of(&|target| target.starts_with("db-"));
    let allowed = of(&|target| target == "web");
    expect(forbidden.len() == 4 && allowed.len() == 2, || "not every stranger has asked".to_owned())?;
    let got_through: Vec<_> =
        forbidden.iter().filter(|one| !one.answered_at(time).is_empty()).map(|one| told(one, parts)).collect();
    expect(got_through.is_empty(), || got_through.join("\n"))?;
    for one in allowed {
        expect(one.answered() * 2 > one.asked(), || format!("{}: {} of {}", one.name(), one.answered(), one.asked()))?;
        for part in parts {
            expect(!one.answered_at(part.time).is_empty(), || format!("{}: no answer in {}", one.name(), part.name))?;
        }
    }
    Ok(())
}

/// When somebody was answered, by parts of the story.
fn told(one: &Answers, parts: &[Part]) -> String {
    let in_part = |part: &Part| {
        let times = one.answered_at(part.time);
        let since = |at: &u128| format!("{} ms", at - part.time.from);
        let (first, last) = (times.first().map(since)?, times.last().map(since)?);
        Some(format!("in {}: {} times, from {first} to {last} after its begin", part.name, times.len()))
    };
    let all: Vec<String> = parts.iter().filter_map(in_part).collect();
    format!("{} was answered {} times; {}", one.name(), one.answered(), all.join("; "))
}
