//! The real binary, called as people call it: through kubectl, as helm's post-renderer, with an empty home directory.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs::{self, File},
    io,
    os::unix::{fs::symlink, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

use crate::{
    error::{Error, Result},
    process::COLLECTOR,
    tools::Tools,
    verdict::expect,
};

const BINARY: &str = "kubectl-ovncilium";
const POST_RENDERER: &str = "ovncilium-post-renderer";
/// For what has no limit of its own.
const LIMIT: Duration = Duration::from_secs(120);

/// The built binary in a directory of its own, where kubectl and helm find it under all its names; beside it a
/// directory for each helm, in which it is called `helm`.
pub(crate) struct Program {
    dir: TempDir,
}

impl Program {
    /// Builds the binary.
    ///
    /// # Errors
    /// As [`built`].
    pub(crate) fn build(tools: &Tools) -> Result<Self> {
        let built = built(BINARY)?;
        let dir = temporary()?;
        // A copy: a build that goes on beside us must not change what is tested half-way.
        let binary = dir.path().join(BINARY);
        fs::copy(built, &binary).map_err(Error::io("copy the program to", &binary))?;
        for (name, target) in [
            (POST_RENDERER, binary),
            ("kubectl", tools.kubectl()),
            ("helm3/helm", tools.helm3()),
            ("helm4/helm", tools.helm4()),
        ] {
            let link = dir.path().join(name);
            let folder = link.parent().unwrap_or(dir.path());
            fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
            symlink(target, &link).map_err(Error::io("link", &link))?;
        }
        Ok(Self { dir })
    }

    /// A home directory that lasts as long as the program: caches fill as a user's would.
    fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    /// `kubectl ovncilium ARGS` with this kubeconfig, and no helm on PATH.
    pub(crate) fn kubectl(&self, kubeconfig: &Path, args: &[&str]) -> Call {
        let mut call = self.call(&self.dir.path().join("kubectl"));
        call.command.arg("ovncilium").args(args).env("KUBECONFIG", kubeconfig);
        call
    }

    /// The post-renderer under its own name, without any cluster.
    pub(crate) fn post_renderer(&self, args: &[&str]) -> Call {
        let mut call = self.call(&self.dir.path().join(POST_RENDERER));
        call.command.args(args);
        call
    }

    /// A real helm with `--post-renderer` and these arguments for it.
    pub(crate) fn helm(&self, which: Helm, args: &[&str], for_post_renderer: &[&str]) -> Call {
        let mut call = self.call(&self.helm_path(which)).with_helm(self, which);
        call.command.args(args).arg("--post-renderer").args(for_post_renderer.iter().fold(
            vec![OsString::from(POST_RENDERER)],
            |mut all, one| {
                all.push(format!("--post-renderer-args={one}").into());
                all
            },
        ));
        call.command.env("HELM_PLUGINS", repository().join("helm-plugin"));
        call
    }

    /// A real helm on its own.
    pub(crate) fn plain_helm(&self, which: Helm, args: &[&str]) -> Call {
        let mut call = self.call(&self.helm_path(which));
        call.command.args(args);
        call
    }

    /// For `--helm`.
    pub(crate) fn helm_path(&self, which: Helm) -> PathBuf {
        self.dir.path().join(which.name()).join("helm")
    }

    /// The binary itself, for whoever installs it elsewhere.
    pub(crate) fn binary(&self) -> PathBuf {
        self.dir.path().join(BINARY)
    }

    fn call(&self, program: &Path) -> Call {
        Call::of(program, &self.home())
            .env("PATH", path([self.dir.path(), Path::new("/usr/bin"), Path::new("/bin")]))
            .env("KUBECACHEDIR", self.dir.path().join("kubectl-cache"))
    }
}

/// Builds a program of the workspace with the profile of this one; where it is. The features are those of the whole workspace, as the
/// tests build it, so that nothing is built twice.
///
/// # Errors
/// [`Error::Expectation`] with what cargo said.
pub(crate) fn built(name: &str) -> Result<PathBuf> {
    let own = env::current_exe().map_err(Error::io("find", "this program"))?;
    let profile = own.parent().unwrap_or(Path::new("."));
    let mut command = cargo();
    command.args(["build", "--quiet", "--workspace", "--bin", name, "--manifest-path"]);
    command.arg(repository().join("Cargo.toml")).arg("--target-dir").arg(profile.parent().unwrap_or(profile));
    if profile.ends_with("release") {
        command.arg("--release");
    }
    let output = command.output().map_err(|source| Error::Spawn { program: "cargo".into(), source })?;
    expect(output.status.success(), || String::from_utf8_lossy(&output.stderr).into_owned())?;
    Ok(profile.join(name))
}

/// Cargo without what the cargo that runs us says of this crate: build scripts (ring's) watch these variables, and most
/// dependencies would be built anew.
fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// The repository that is tested.
pub(crate) fn repository() -> PathBuf {
    let crate_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_dir.parent().unwrap_or(crate_dir).to_owned()
}

pub(crate) fn temporary() -> Result<TempDir> {
    tempfile::Builder::new()
        .prefix("ovncilium-e2e-")
        .tempdir()
        .map_err(Error::io("create a directory in", env::temp_dir()))
}

/// A value of `PATH`.
pub(crate) fn path<const N: usize>(dirs: [&Path; N]) -> OsString {
    dirs.map(Path::as_os_str).join(OsStr::new(":"))
}

/// The two majors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Helm {
    Three,
    Four,
}

impl Helm {
    /// `helm3`, `helm4`: also the ending of recorded streams.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Three => "helm3",
            Self::Four => "helm4",
        }
    }
}

/// A command that is about to run.
pub(crate) struct Call {
    command: Command,
    stdin: Option<Vec<u8>>,
    limit: Duration,
    home: Option<TempDir>,
}

impl Call {
    /// A program with this home directory and, of the environment, nothing else but how often Go collects.
    pub(crate) fn of(program: &Path, home: &Path) -> Self {
        let mut command = Command::new(program);
        command.env_clear().env("HOME", home).env(COLLECTOR.0, COLLECTOR.1).stdin(Stdio::null());
        Self { command, stdin: None, limit: LIMIT, home: None }
    }

    #[must_use]
    pub(crate) fn args(mut self, args: &[&str]) -> Self {
        self.command.args(args);
        self
    }

    /// Kills it and fails after this time.
    #[must_use]
    pub(crate) fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    #[must_use]
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    #[must_use]
    pub(crate) fn stdin(mut self, bytes: Vec<u8>) -> Self {
        self.stdin = Some(bytes);
        self
    }

    /// On a machine where nobody worked before: an empty home directory of its own.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(crate) fn on_a_fresh_machine(mut self) -> Result<Self> {
        let home = temporary()?;
        self.command.env("HOME", home.path()).env("KUBECACHEDIR", home.path().join("kubectl-cache"));
        self.home = Some(home);
        Ok(self)
    }

    /// With this helm on PATH.
    #[must_use]
    pub(crate) fn with_helm(mut self, program: &Program, which: Helm) -> Self {
        let dir = program.dir.path();
        self.command.env("PATH", path([dir, &dir.join(which.name()), Path::new("/usr/bin"), Path::new("/bin")]));
        self
    }

    /// Nothing but kubectl and the plugin is on PATH.
    #[must_use]
    pub(crate) fn without_tools(mut self, program: &Program) -> Self {
        self.command.env("PATH", program.dir.path());
        self
    }

    /// Starts it, in a process group of its own so that it can be killed with its children.
    ///
    /// # Errors
    /// [`Error::Spawn`] or [`Error::Io`].
    pub(crate) fn start(mut self) -> Result<Running> {
        let dir = temporary()?;
        let file = |name: &str| {
            let path = dir.path().join(name);
            // Several processes write to one stderr; a post-renderer behind Helm 4 opens its file anew.
            File::options().append(true).create(true).open(&path).map_err(Error::io("create", &path))
        };
        if let Some(bytes) = &self.stdin {
            let path = dir.path().join("stdin");
            fs::write(&path, bytes).map_err(Error::io("write", &path))?;
            self.command.stdin(File::open(&path).map_err(Error::io("open", &path))?);
        }
        self.command.stdout(file("stdout")?).stderr(file("stderr")?).process_group(0);
        let words: Vec<_> = self.command.get_args().map(OsStr::to_string_lossy).collect();
        let what = words.join(" ");
        let program = self.command.get_program().to_string_lossy().into_owned();
        let child = self.command.spawn().map_err(|source| Error::Spawn { program, source })?;
        Ok(Running { child, dir, what, since: Instant::now(), limit: self.limit, _home: self.home })
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// As [`Running::wait`].
    pub(crate) fn run(self) -> Result<Output> {
        self.start()?.wait()
    }
}

/// A command that runs.
pub(crate) struct Running {
    child: Child,
    dir: TempDir,
    what: String,
    since: Instant,
    limit: Duration,
    _home: Option<TempDir>,
}

impl Running {
    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// SIGKILL to it and to every process it started: the power goes off.
    pub(crate) fn kill(&mut self) {
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _gone_already = kill_process_group(group, Signal::KILL);
        }
        let _reaped = self.child.wait();
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// [`Error::Timeout`] with the end of its output when the limit has passed; it is killed then.
    pub(crate) fn wait(mut self) -> Result<Output> {
        while !self.has_ended() {
            if self.since.elapsed() > self.limit {
                self.kill();
                let what = format!("`{}` ends", self.what);
                return Err(Error::Timeout { what, seconds: self.limit.as_secs(), last: self.output()?.said() });
            }
            thread::sleep(Duration::from_millis(20));
        }
        self.output()
    }

    fn output(&mut self) -> Result<Output> {
        let status = self.child.wait().map_err(|source| Error::Spawn { program: self.what.clone(), source })?;
        let read = |name: &str| -> Result<Vec<u8>> {
            let path = self.dir.path().join(name);
            fs::read(&path).map_err(Error::io("read", &path))
        };
        let stderr = String::from_utf8_lossy(&read("stderr")?).into_owned();
        Ok(Output {
            what: self.what.clone(),
            code: status.code(),
            stdout: read("stdout")?,
            stderr,
            took: self.since.elapsed(),
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.has_ended() {
            self.kill();
        }
    }
}

/// How a command ended and what it said.
#[derive(Debug)]
pub(crate) struct Output {
    what: String,
    /// `None` after a signal.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
}

impl Output {
    pub(crate) fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// The end of both streams, for messages.
    pub(crate) fn said(&self) -> String {
        let tail = |text: &str| {
            let lines: Vec<_> = text.lines().collect();
            lines[lines.len().saturating_sub(25)..].join("\n")
        };
        format!("stdout: {}\nstderr: {}", tail(&self.stdout()), tail(&self.stderr))
    }

    /// # Errors
    /// [`Error::Expectation`] with what it said when the exit code is none of these.
    pub(crate) fn ended_with(self, codes: &[i32]) -> Result<Self> {
        expect(self.code.is_some_and(|code| codes.contains(&code)), || {
            let ended = self.code.map_or("a signal".to_owned(), |code| code.to_string());
            format!("`{}` ended with {ended} instead of {codes:?}\n{}", self.what, self.said())
        })?;
        Ok(self)
    }

    /// # Errors
    /// [`Error::Expectation`] when one of the words is not in what it told people (any case).
    pub(crate) fn names(self, words: &[&str]) -> Result<Self> {
        let said = format!("{}\n{}", self.stdout(), self.stderr).to_lowercase();
        let missing: Vec<_> = words.iter().filter(|word| !said.contains(&word.to_lowercase())).collect();
        expect(missing.is_empty(), || format!("`{}` does not name {missing:?}\n{}", self.what, self.said()))?;
        Ok(self)
    }

    /// # Errors
    /// [`Error::Json`].
    pub(crate) fn json(&self) -> Result<serde_json::Value> {
        serde_json::from_slice(&self.stdout).map_err(Error::json(format!("the output of `{}`", self.what)))
    }
}

/// Writes a file of a test.
///
/// # Errors
/// [`Error::Io`].
pub(crate) fn write(path: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    fs::write(path, content).map_err(Error::io("write", path))
}

/// Makes a file that can be run.
///
/// # Errors
/// [`Error::Io`].
pub(crate) fn write_script(path: &Path, content: &str) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    write(path, content)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
        .map_err(|source: io::Error| Error::io("make executable", path)(source))
}
