//! `lab up|down|exec|status`: a lab to work in by hand. It goes on after `up` has returned, until `down`.

use std::{
    collections::BTreeMap,
    env,
    fs::{self, File},
    io::Write,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Result, explain},
    lab::{
        Iptables, Lab, Stock,
        enter::{self, Lasts},
        machine,
    },
    tools::{self, Tools},
    verdict::{Tests, expect},
    wait::{self, Seen},
};

pub(crate) const USAGE: &str = "\
usage: ovncilium-e2e lab up [NODES] | down | status | exec NODE COMMAND... | exec - COMMAND...

  up [NODES]           make a cluster of real nodes with Kube-OVN, two unless told otherwise
  status               what runs in it
  exec NODE COMMAND    run a program on a node
  exec - COMMAND       run a program beside the API server, with KUBECONFIG set and kubectl, helm and crictl on PATH
  down                 end all of it";

/// What `serve` tells the commands that come after `up`.
#[derive(Debug, Serialize, Deserialize)]
struct Ready {
    kubeconfig: PathBuf,
    /// Each node with what comes before a command on it.
    nodes: BTreeMap<String, Vec<String>>,
}

/// The process that holds a lab: its id and the time of its start, which together name no other process.
#[derive(Debug, Serialize, Deserialize)]
struct Holder {
    id: u32,
    started: String,
}

/// A command of `lab`.
///
/// # Errors
/// Any error of making the lab; [`Error::Expectation`] when there is none, or one already.
pub(crate) fn run(args: &[String], out: &mut dyn Write) -> Result<Option<i32>> {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let dir = tools::cache_dir()?.join("lab");
    match words[..] {
        ["up"] => up(&dir, 2, out),
        ["up", nodes] => match nodes.parse() {
            Ok(nodes @ 1..=9) => up(&dir, nodes, out),
            _ => Err(Error::Expectation(format!("`{nodes}` is no number of nodes: 1 to 9"))),
        },
        ["serve", nodes] => serve(nodes.parse().unwrap_or(2), out),
        ["down"] => down(&dir, out),
        ["status"] => status(&dir, out),
        ["exec", place, ref command @ ..] if !command.is_empty() => exec(&dir, place, command),
        _ => return Ok(None),
    }
    .map(|code| code.or(Some(0)))
}

/// Set to 1, a machine that cannot have a lab fails the stories that want one, where they would be ignored.
const REQUIRE: &str = "OVNCILIUM_E2E_REQUIRE_LAB";

/// What a lab is made from, when this program runs inside one.
pub(crate) fn stock_inside() -> Option<Result<Stock>> {
    enter::inside().map(|state| Stock::read(&state))
}

/// Plays a scenario inside a lab's namespaces; true when it passed, or this machine cannot have a lab.
pub(crate) fn play_inside(scenario: &'static str, tools: &Tools, out: &mut dyn Write) -> bool {
    let mut tests = Tests::new(scenario, out);
    let missing = machine::missing();
    if !missing.is_empty() {
        let reasons = missing.join("; ");
        match env::var_os(REQUIRE).is_some_and(|value| value == "1") {
            true => drop(tests.run::<()>("has_a_lab", || Err(Error::Expectation(reasons)))),
            false => tests.skip("has_a_lab", &reasons),
        }
        return tests.finish();
    }
    let played = tests.run("has_a_lab", || {
        let stock = Stock::build(tools)?;
        // Not `.lab-`: control groups of the lab kept by hand begin with the name of its directory.
        let state = tempfile::Builder::new()
            .prefix(".scenario-")
            .tempdir_in(tools::cache_dir()?)
            .map_err(Error::io("create a directory in", tools::cache_dir()?))?;
        stock.write(state.path())?;
        let mut state = state;
        state.disable_cleanup(env::var_os("OVNCILIUM_E2E_KEEP").is_some_and(|value| value == "1"));
        Ok(state)
    });
    let Some(state) = played else { return tests.finish() };
    tests.note("the story is told by the program inside the lab, which counts for itself:");
    let status = enter::command(&[scenario.as_ref()], state.path(), Lasts::AsLongAsItsParent)
        .and_then(|mut inside| inside.status().map_err(|source| Error::Spawn { program: "unshare".into(), source }));
    tests.run("is_told_to_its_end", || {
        let status = status?;
        expect(status.success(), || format!("the program inside ended with {status}"))
    });
    tests.run("leaves_nothing_behind", || remove_groups(state.path()));
    tests.finish()
}

fn up(dir: &Path, nodes: u8, out: &mut dyn Write) -> Result<Option<i32>> {
    if let Ok(holder) = holder(dir) {
        let message = format!("a lab is up already, in process {}; `lab down` ends it", holder.id);
        return Err(Error::Expectation(message));
    }
    let missing = machine::missing();
    if !missing.is_empty() {
        return Err(Error::Expectation(format!("this machine cannot have a lab:\n  {}", missing.join("\n  "))));
    }
    let stock = Stock::build(&Tools::build()?)?;
    clear(dir)?;
    fs::create_dir_all(dir).map_err(Error::io("create", dir))?;
    stock.write(dir)?;
    let log = dir.join("lab.log");
    let mut holder = hold(dir, nodes, &log)?;
    let mut told = 0;
    loop {
        let ended = holder.try_wait().map_err(Error::io("wait for the lab of", dir))?;
        let text = fs::read_to_string(&log).unwrap_or_default();
        for line in text.lines().skip(told) {
            told += 1;
            let _reader_gone = writeln!(out, "{line}");
        }
        if let Some(status) = ended {
            clear(dir)?;
            return Err(Error::Expectation(format!("the lab ended with {status} before it was ready")));
        }
        if dir.join(READY).exists() {
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(200));
    }
}

/// Starts `serve` in a process group of its own: it outlives us and the Ctrl-C of our terminal.
fn hold(dir: &Path, nodes: u8, log: &Path) -> Result<Child> {
    let file = File::create(log).map_err(Error::io("create", log))?;
    let nodes = nodes.to_string();
    let args = ["lab".as_ref(), "serve".as_ref(), nodes.as_ref()];
    let mut command = enter::command(&args, dir, Lasts::UntilItIsKilled)?;
    let errors = file.try_clone().map_err(Error::io("open", log))?;
    command.stdin(Stdio::null()).stdout(file).stderr(errors).process_group(0);
    let child = command.spawn().map_err(|source| Error::Spawn { program: "unshare".into(), source })?;
    let holder = Holder { id: child.id(), started: started(child.id()).unwrap_or_default() };
    write(&dir.join(HOLDER), &holder)?;
    Ok(child)
}

/// Inside: makes the lab and keeps it until it is killed.
fn serve(nodes: u8, out: &mut dyn Write) -> Result<Option<i32>> {
    let state = enter::inside().ok_or_else(|| Error::Expectation("only a lab serves".to_owned()))?;
    let lab = Lab::up(Stock::read(&state)?, &state, nodes, Iptables::Nft, &mut |text| {
        let _reader_gone = writeln!(out, "{text}");
    })?;
    let ready = Ready {
        kubeconfig: lab.control_plane.kubeconfig("admin")?.to_owned(),
        nodes: lab.nodes.iter().map(|node| (node.name.clone(), words(&node.command(&[])))).collect(),
    };
    write(&state.join(READY), &ready)?;
    loop {
        thread::park();
    }
}

fn words(command: &Command) -> Vec<String> {
    let args = command.get_args().map(|arg| arg.to_string_lossy().into_owned());
    [command.get_program().to_string_lossy().into_owned()].into_iter().chain(args).collect()
}

fn down(dir: &Path, out: &mut dyn Write) -> Result<Option<i32>> {
    let ended = match holder(dir) {
        Ok(holder) => {
            if let Some(id) = i32::try_from(holder.id).ok().and_then(Pid::from_raw) {
                let _gone_already = kill_process(id, Signal::KILL);
            }
            while started(holder.id).is_some_and(|started| started == holder.started) {
                thread::sleep(Duration::from_millis(50));
            }
            "the lab has ended"
        }
        Err(_) => "no lab is up",
    };
    clear(dir)?;
    let _reader_gone = writeln!(out, "{ended}");
    Ok(None)
}

/// Removes what a lab that has ended left.
fn clear(dir: &Path) -> Result<()> {
    remove_groups(dir)?;
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", dir)(error)),
        _ => Ok(()),
    }
}

/// Its last processes are still being ended when the first is gone.
fn remove_groups(state: &Path) -> Result<()> {
    wait::until("the last process has left the lab's control groups", Duration::from_secs(30), || {
        Ok(match enter::remove_groups(state) {
            Ok(()) => Seen::Ready(()),
            Err(error) => Seen::NotYet(explain(&error)),
        })
    })
}

fn status(dir: &Path, out: &mut dyn Write) -> Result<Option<i32>> {
    let holder = holder(dir)?;
    let ready: Ready = read(&dir.join(READY))?;
    let nodes: Vec<_> = ready.nodes.keys().map(String::as_str).collect();
    let _reader_gone = writeln!(
        out,
        "process {}\nnodes {}\nkubeconfig {}\nlogs {}\n",
        holder.id,
        nodes.join(" "),
        ready.kubeconfig.display(),
        dir.display()
    );
    exec(dir, "-", &["kubectl", "get", "nodes,pods", "--all-namespaces", "--output", "wide"])
}

fn exec(dir: &Path, place: &str, command: &[&str]) -> Result<Option<i32>> {
    let holder = holder(dir)?;
    let ready: Ready = read(&dir.join(READY))?;
    let mut nsenter = enter::nsenter(holder.id)?;
    if place == "-" {
        let stock = Stock::read(dir)?;
        let folders = [dir.join("bin"), PathBuf::from(env::var_os("PATH").unwrap_or_default())];
        stock.link(&folders[0])?;
        let path = env::join_paths(folders.iter().flat_map(env::split_paths))
            .map_err(|_| Error::Expectation("PATH has a directory with a colon".to_owned()))?;
        nsenter.env("KUBECONFIG", &ready.kubeconfig).env("PATH", path).args(command);
    } else {
        let Some(before) = ready.nodes.get(place) else {
            let known: Vec<_> = ready.nodes.keys().map(String::as_str).collect();
            return Err(Error::Expectation(format!("no node `{place}`; there are: {}", known.join(", "))));
        };
        nsenter.args(before).args(command);
    }
    let status = nsenter.status().map_err(|source| Error::Spawn { program: "nsenter".into(), source })?;
    Ok(Some(status.code().unwrap_or(1)))
}

const HOLDER: &str = "holder.json";
const READY: &str = "ready.json";

/// The process that holds the lab of this directory, if it still runs.
fn holder(dir: &Path) -> Result<Holder> {
    let none = || Error::Expectation("no lab is up; `lab up` makes one".to_owned());
    let holder: Holder = read(&dir.join(HOLDER)).map_err(|_| none())?;
    if started(holder.id).is_some_and(|started| started == holder.started) { Ok(holder) } else { Err(none()) }
}

/// When a process that runs was started, in clock ticks since the machine was.
fn started(id: u32) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name in parentheses may hold anything; what follows it does not.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    (fields.first()? != &"Z").then(|| fields.get(19).map(|&ticks| ticks.to_owned()))?
}

fn write(path: &Path, value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string(value).map_err(Error::json(path.to_string_lossy()))?;
    // Whole or not there: somebody waits for it.
    let new = path.with_extension("new");
    fs::write(&new, text).map_err(Error::io("write", &new))?;
    fs::rename(&new, path).map_err(Error::io("write", path))
}

fn read<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T> {
    let text = fs::read_to_string(path).map_err(Error::io("read", path))?;
    serde_json::from_str(&text).map_err(Error::json(path.to_string_lossy()))
}
