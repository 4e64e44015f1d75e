//! JUnit XML, as CI systems read it.

use std::fmt::Write as _;

use crate::policy::{Fault, Finding, Severity, Verdict};

/// One suite: a case per finding, an error per fault.
pub(super) fn write(suite: &str, findings: &[Finding], faults: &[Fault]) -> String {
    let failures = findings.iter().filter(|f| f.denies() || f.is_open()).count();
    let skipped = findings.iter().filter(|f| f.verdict == Verdict::Skip).count();
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        out,
        "<testsuite name=\"{}\" tests=\"{}\" failures=\"{failures}\" errors=\"{}\" skipped=\"{skipped}\">",
        escape(suite),
        findings.len() + faults.len(),
        faults.len()
    );
    for finding in findings {
        let name = match &finding.subject {
            Some(subject) => format!("{} ({subject})", finding.title),
            None => finding.title.clone(),
        };
        let _ = write!(out, "  <testcase classname=\"{}\" name=\"{}\">", escape(&finding.id()), escape(&name));
        let text = match &finding.remedy {
            Some(remedy) => format!("{}\n{remedy}", finding.message),
            None => finding.message.clone(),
        };
        match (finding.verdict, finding.severity) {
            (Verdict::Fail | Verdict::Unknown, Severity::Error) => {
                let _ = write!(out, "<failure type=\"{}\">{}</failure>", finding.verdict, escape(&text));
            }
            (Verdict::Skip, _) => {
                let _ = write!(out, "<skipped message=\"{}\"/>", escape(&text));
            }
            _ => {
                let _ = write!(out, "<system-out>{}</system-out>", escape(&text));
            }
        }
        out.push_str("</testcase>\n");
    }
    for fault in faults {
        let _ = writeln!(
            out,
            "  <testcase classname=\"{0}\" name=\"{0}\"><error>{1}\n{2}</error></testcase>",
            escape(&fault.policy),
            escape(&fault.message),
            escape(&fault.remedy)
        );
    }
    out.push_str("</testsuite>\n");
    out
}

fn escape(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control() || *c == '\n')
        .flat_map(|c| match c {
            '<' => "&lt;".chars().collect::<Vec<_>>(),
            '>' => "&gt;".chars().collect(),
            '&' => "&amp;".chars().collect(),
            '"' => "&quot;".chars().collect(),
            other => vec![other],
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn text_of_modules_cannot_break_the_document() {
        assert_eq!(super::escape("a<b>&\"c\"\u{1b}[31m\n"), "a&lt;b&gt;&amp;&quot;c&quot;[31m\n");
    }
}
