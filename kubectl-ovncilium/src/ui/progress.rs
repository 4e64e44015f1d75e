//! Progress of a run: a line per step that is done, with counter, node, duration and what is left; on a terminal also what is
//! waited for, on one line that is written over.

use std::time::Duration;

use ovncilium_core::report::{Label, Paint as _, duration};
use ovncilium_engine::events::Event;

use super::{Colour, is_terminal, raw, say};

/// Listens to the engine.
pub struct Progress {
    terminal: bool,
    transient: bool,
}

impl Progress {
    /// Plain lines when stderr is no terminal.
    pub fn new() -> Self {
        Self { terminal: is_terminal(), transient: false }
    }

    /// Tell one event.
    pub fn tell(&mut self, event: &Event) {
        match event {
            Event::Claimed { run, epoch, resumed } => {
                let resumed = if *resumed > 0 { format!(", {resumed} steps were done before") } else { String::new() };
                self.line(&format!("run {run}, epoch {epoch}{resumed}"));
            }
            Event::WaitingForLock { holder } => {
                self.line(&format!("the lock is held by {holder}; watching whether it is alive (20 s)"));
            }
            Event::Phase { number, id, title } => {
                self.line(&format!("\n{} {title}", Colour.paint(Label::Title, &format!("phase {number} {id}:"))));
            }
            Event::Stage { title, nodes } => {
                let names: Vec<&str> = nodes.iter().map(|node| node.as_str()).take(6).collect();
                let more = if nodes.len() > 6 { format!(", … {} nodes", nodes.len()) } else { String::new() };
                let whom = if names.is_empty() { String::new() } else { format!(": {}{more}", names.join(", ")) };
                self.line(&Colour.paint(Label::Dim, &format!("  {title}{whom}")));
            }
            Event::Acting { node, what, .. } => self.over(&format!("  … {}{what}", who(node.as_ref()))),
            Event::Waiting { node, reason, .. } => self.over(&format!("  … {}{reason}", who(node.as_ref()))),
            Event::Done { node, what, note, already, took, done, total, left, .. } => {
                let mark = if *already { Colour.paint(Label::Dim, "·") } else { Colour.paint(Label::Good, "√") };
                let left = left.map(|(least, most)| format!("  left {}", range(least, most))).unwrap_or_default();
                let width = total.to_string().len();
                self.line(&format!(
                    "{mark} [{done:>width$}/{total}] {:>6} {}{what}: {note}{}",
                    duration(*took),
                    who(node.as_ref()),
                    Colour.paint(Label::Dim, &left)
                ));
            }
            Event::Soaking { seconds } => self.over(&format!("  … watching for {seconds} s before the next stage")),
            Event::Stopping { finishing: true } => {
                self.line("stopping: the nodes in work are finished first; once more to stop at once");
            }
            Event::Stopping { finishing: false } => self.line("stopping at once; the journal is intact"),
        }
    }

    fn line(&mut self, text: &str) {
        self.clear();
        say(text);
    }

    /// A line that the next one replaces; only where it can be replaced.
    fn over(&mut self, text: &str) {
        if self.terminal {
            self.clear();
            let short: String = text.chars().take(100).collect();
            raw(&short, true);
            self.transient = true;
        }
    }

    fn clear(&mut self) {
        if std::mem::take(&mut self.transient) {
            raw("\r\u{1b}[2K", true);
        }
    }
}

fn who(node: Option<&ovncilium_core::ids::NodeName>) -> String {
    node.map(|node| format!("{node}  ")).unwrap_or_default()
}

fn range(least: Duration, most: Duration) -> String {
    if duration(least) == duration(most) {
        duration(most)
    } else {
        format!("{} to {}", duration(least), duration(most))
    }
}
