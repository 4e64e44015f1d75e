//! What `cargo xtask dist` makes of the program, unpacked and served as a release page would; and a chart with values.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use tempfile::TempDir;

use crate::{
    error::{Error, Result},
    program::{Call, Program, built, repository, temporary, write},
    verdict::expect,
};

/// Of both plugins; the packages have it in their names.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Sound chaining values; audit mode, since no pod is Cilium's yet.
const CHAINING: &str = "cni: {chainingMode: generic-veth, customConf: true, chainingTarget: kube-ovn, exclusive: false}
devices: eth0 ovn0 genev_sys_6081
enableIPv4Masquerade: false
enableIPv6Masquerade: false
enableIdentityMark: false
ipam: {operator: {clusterPoolIPv4PodCIDRList: [100.65.0.0/16]}}
operator: {replicas: 1, unmanagedPodWatcher: {restart: false}}
policyAuditMode: true
routingMode: native
";
/// No chaining: an overlay of Cilium's own.
const OVERLAY: &str = "enableIdentityMark: false\n";

/// Files of one release.
pub(super) struct Packages {
    dir: TempDir,
    /// The program that is in them.
    pub(super) program: PathBuf,
    address: String,
}

impl Packages {
    /// Makes, checks and unpacks them, and begins to serve them.
    ///
    /// # Errors
    /// [`Error::Expectation`] with what cargo, tar or sha256sum said.
    pub(super) fn make(program: &Program) -> Result<Self> {
        let dir = temporary()?;
        let mut dist = Command::new(built("xtask")?);
        dist.args(["dist", "--binary"]).arg(program.binary());
        run(dist.arg("--out").arg(dir.path()).current_dir(repository()))?;
        run(Command::new("sha256sum").args(["--check", "--quiet", "SHA256SUMS"]).current_dir(dir.path()))?;
        let listener = TcpListener::bind("127.0.0.1:0").map_err(spawn("a listener on 127.0.0.1"))?;
        let address = listener.local_addr().map_err(spawn("a listener on 127.0.0.1"))?.to_string();
        let packages = Self { dir, program: program.binary(), address };
        for plugin in ["ovncilium", "ovncilium-post-renderer"] {
            run(Command::new("tar").arg("-xzf").arg(packages.package(plugin)?).current_dir(packages.dir.path()))?;
        }
        packages.prepare_chart()?;
        packages.prepare_checkout()?;
        let served = packages.dir.path().to_owned();
        // It ends with the process; it serves nothing but these files.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _client_gone = answer(stream, &served);
            }
        });
        Ok(packages)
    }

    /// The project's own chart for the Kubernetes of the oldest Helm, which `helm template` takes for granted there.
    fn prepare_chart(&self) -> Result<()> {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("chart/cilium");
        run(Command::new("cp").arg("-R").arg(from).arg(self.chart()))?;
        let file = self.chart().join("Chart.yaml");
        let text = fs::read_to_string(&file).map_err(Error::io("read", &file))?;
        write(&file, text.replace(">= 1.21.0-0", ">= 1.16.0-0"))?;
        write(&self.dir.path().join("chaining.yaml"), CHAINING)?;
        write(&self.dir.path().join("overlay.yaml"), OVERLAY)
    }

    /// The package of a plugin for this machine.
    ///
    /// # Errors
    /// [`Error::Expectation`] when there is not one.
    pub(super) fn package(&self, plugin: &str) -> Result<PathBuf> {
        let start = format!("{plugin}-{VERSION}-");
        let entries = fs::read_dir(self.dir.path()).map_err(Error::io("read", self.dir.path()))?;
        let mut found = entries.flatten().map(|entry| entry.path()).filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with(&start) && name.ends_with(".tgz")
        });
        found.next().ok_or_else(|| Error::Expectation(format!("no package {start}*.tgz was made")))
    }

    /// The same package on the web.
    ///
    /// # Errors
    /// As [`Packages::package`].
    pub(super) fn url(&self, plugin: &str) -> Result<String> {
        let name = self.package(plugin)?.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(format!("http://{}/{name}", self.address))
    }

    /// The same package unpacked: a folder of the plugin's name.
    pub(super) fn folder(&self, plugin: &str) -> PathBuf {
        self.dir.path().join(plugin)
    }

    /// What a checkout of the repository has of both plugins: no program.
    pub(super) fn checkout(&self) -> PathBuf {
        self.dir.path().join("checkout")
    }

    fn prepare_checkout(&self) -> Result<()> {
        let checkout = self.checkout();
        fs::create_dir(&checkout).map_err(Error::io("create", &checkout))?;
        let from = ["plugin.yaml", "helm-plugin"].map(|file| repository().join(file));
        run(Command::new("cp").arg("-R").args(from).arg(checkout))
    }

    /// A copy of that folder, to be spoiled; it has the plugin's name.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Expectation`].
    pub(super) fn copy(&self, plugin: &str) -> Result<(TempDir, PathBuf)> {
        let dir = temporary()?;
        run(Command::new("cp").arg("-R").arg(self.folder(plugin)).arg(dir.path()))?;
        let folder = dir.path().join(plugin);
        Ok((dir, folder))
    }

    pub(super) fn chart(&self) -> PathBuf {
        self.dir.path().join("cilium-chart")
    }

    /// `chaining` or `overlay`.
    pub(super) fn values(&self, name: &str) -> PathBuf {
        self.dir.path().join(format!("{name}.yaml"))
    }

    /// Compiled policies, once for all machines: in a debug build they take their time.
    pub(super) fn with_warm_cache(&self, call: Call) -> Call {
        call.env("XDG_CACHE_HOME", self.dir.path().join("cache"))
    }
}

fn spawn(program: &str) -> impl Fn(std::io::Error) -> Error {
    move |source| Error::Spawn { program: program.to_owned(), source }
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().map_err(spawn(&command.get_program().to_string_lossy()))?;
    expect(output.status.success(), || format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)))
}

/// GET and HEAD of a file of one folder; everything else, such as a signature, is not there.
fn answer(stream: TcpStream, served: &Path) -> std::io::Result<()> {
    let mut lines = BufReader::new(&stream).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let (method, path) = request.split_once(' ').unwrap_or_default();
    let name = path.split(' ').next().unwrap_or_default().trim_start_matches('/');
    let mut stream = &stream;
    match fs::read(served.join(name)) {
        Ok(content) if name.ends_with(".tgz") && !name.contains('/') => {
            let length = content.len();
            write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: application/gzip\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
            )?;
            if method == "GET" { stream.write_all(&content) } else { Ok(()) }
        }
        _ => write!(stream, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
    }
}
