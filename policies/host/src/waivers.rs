//! Waivers: findings that somebody accepts for a while, with a reason.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use ovncilium_core::Digest;
use ovncilium_core::policy::{Finding, Severity, Verdict};

use crate::config::Waiver;

/// Id under which notes about waivers appear among the findings.
const POLICY: &str = "waivers";

/// Turns waived findings into skipped ones, and adds a note for each waiver that has expired or names nothing.
///
/// A waived finding keeps its severity and says what it was. Faults cannot be waived: nobody knows what they hide.
/// `rules` are the ids (policy, rule) that exist among the modules asked, `left_out` are policies that were not asked and may have
/// any; `config` is the digest of the policy file.
pub(crate) fn apply(
    findings: &mut Vec<Finding>,
    waivers: &[Waiver],
    rules: &[(String, String)],
    left_out: &[&str],
    now: Timestamp,
    config: Option<Digest>,
) {
    let today = now.to_zoned(TimeZone::UTC).date();
    let mut notes = Vec::new();
    for waiver in waivers {
        let mut used = false;
        for finding in findings.iter_mut().filter(|finding| waives(waiver, finding)) {
            used = true;
            if today <= waiver.expires {
                finding.message = format!(
                    "waived until {}: {} (it was {}: {})",
                    waiver.expires, waiver.reason, finding.verdict, finding.message
                );
                finding.verdict = Verdict::Skip;
            }
        }
        let known = left_out.contains(&waiver.policy.as_str())
            || rules.iter().any(|(policy, rule)| *policy == waiver.policy && *rule == waiver.rule);
        if used && today > waiver.expires {
            notes.push(note(waiver, "expired", &expired(waiver.expires), config));
        } else if !known {
            notes.push(note(waiver, "names-a-rule", "no module that was asked has this rule", config));
        }
    }
    findings.extend(notes);
}

fn waives(waiver: &Waiver, finding: &Finding) -> bool {
    finding.policy.as_str() == waiver.policy
        && finding.rule.as_str() == waiver.rule
        && matches!(finding.verdict, Verdict::Fail | Verdict::Unknown)
        && waiver.subject.as_ref().is_none_or(|subject| finding.subject.as_ref() == Some(subject))
}

fn expired(on: Date) -> String {
    format!("it expired on {on} and is no longer applied")
}

fn note(waiver: &Waiver, rule: &str, what: &str, config: Option<Digest>) -> Finding {
    Finding {
        policy: POLICY.into(),
        module: config.unwrap_or_else(|| Digest::of("")),
        rule: rule.into(),
        title: "every waiver holds and names a rule".to_owned(),
        severity: Severity::Info,
        verdict: Verdict::Fail,
        message: format!("the waiver of {}/{} is not used: {what}", waiver.policy, waiver.rule),
        subject: waiver.subject.clone(),
        remedy: Some("renew it or take it out of the policy file (--config)".to_owned()),
        document: None,
        source: None,
        pointer: None,
        patch: None,
    }
}
