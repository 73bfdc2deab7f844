//! A Slurm of one node on the loopback, for as long as a test runs. It needs no root and no service manager: every
//! file of it is in one folder, and its commands find it by `SLURM_CONF`.

use std::fmt::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use requant::base::files;
use tempfile::TempDir;

pub(crate) struct Cluster {
    folder: TempDir,
    programs: Programs,
}

/// Where Slurm's programs are: installed, or unpacked into the cache.
struct Programs {
    tree: Option<PathBuf>,
}

impl Programs {
    fn find() -> Option<Self> {
        let installed = ["/usr/sbin/slurmctld", "/usr/sbin/munged", "/usr/bin/sbatch"];
        if installed.iter().all(|path| Path::new(path).exists()) {
            return Some(Self { tree: None });
        }
        let tree = files::cache()?.join("slurm");
        tree.join("usr/sbin/slurmctld").exists().then_some(Self { tree: Some(tree) })
    }

    fn plugins(&self) -> Option<PathBuf> {
        Some(self.tree.as_ref()?.join("usr/lib/x86_64-linux-gnu/slurm-wlm"))
    }

    fn environment(&self) -> Vec<(String, String)> {
        let path = std::env::var("PATH").unwrap_or_default();
        let Some(tree) = &self.tree else {
            return vec![("PATH".into(), format!("{path}:/usr/sbin:/sbin"))];
        };
        let tree = tree.display();
        vec![
            ("PATH".into(), format!("{tree}/usr/bin:{tree}/usr/sbin:{path}:/usr/sbin:/sbin")),
            (
                "LD_LIBRARY_PATH".into(),
                format!("{tree}/usr/lib/x86_64-linux-gnu:{tree}/usr/lib/x86_64-linux-gnu/slurm-wlm"),
            ),
        ]
    }
}

impl Cluster {
    /// Starts one; says why where there is none, which counts as a skipped test.
    pub(crate) fn start() -> Option<Self> {
        let Some(programs) = Programs::find() else {
            lab::skip("Slurm is not here (`cargo xtask slurm` fetches it)");
            return None;
        };
        if !name_is_loopback() {
            lab::skip("this machine's name does not lead to 127.0.0.1, where Slurm's daemons would listen");
            return None;
        }
        // munged asks that everybody may look into every folder above its socket, whose path must be short.
        let folder = tempfile::Builder::new().prefix("sl").tempdir_in("/tmp").unwrap();
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let cluster = Self { folder, programs };
        cluster.configure();
        cluster.start_munge();
        cluster.start_controller(&["-c"]);
        cluster.start_node();
        assert!(
            wait_for(300, || cluster
                .command("sinfo")
                .args(["-h", "-o", "%T"])
                .output()
                .is_ok_and(|o| says(&o, "idle"))),
            "the node never became idle: {}",
            cluster.logs()
        );
        Some(cluster)
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn configure(&self) {
        let key: Vec<u8> = (0..128_u8).map(|n| n.wrapping_mul(37) ^ std::process::id().to_le_bytes()[0]).collect();
        files::write(Path::new(&self.path("munge.key")), &key).unwrap();
        std::fs::set_permissions(self.path("munge.key"), PermissionsExt::from_mode(0o600)).unwrap();
        for name in ["state", "spool"] {
            files::create_dir_all(Path::new(&self.path(name))).unwrap();
        }
        let user = text(&Command::new("id").arg("-un").output().unwrap());
        let host = host();
        let (controller, node) = (free_port(), free_port());
        let here = self.folder.path().display();
        let mut conf = format!(
            "ClusterName=requant\nSlurmctldHost={host}(127.0.0.1)\nSlurmctldPort={controller}\nSlurmdPort={node}\n\
             CommunicationParameters=NoInAddrAny,NoCtldInAddrAny\nAuthType=auth/munge\nCredType=cred/munge\n\
             AuthInfo=socket={here}/munge.sock\nSlurmUser={user}\nSlurmdUser={user}\n\
             StateSaveLocation={here}/state\nSlurmdSpoolDir={here}/spool\nSlurmctldPidFile={here}/slurmctld.pid\n\
             SlurmdPidFile={here}/slurmd.pid\nSlurmctldLogFile={here}/slurmctld.log\nSlurmdLogFile={here}/slurmd.log\n\
             ProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\nSwitchType=switch/none\nMpiDefault=none\n\
             MailProg=/bin/true\nSelectType=select/cons_tres\nSelectTypeParameters=CR_CPU\n\
             AccountingStorageType=accounting_storage/none\nJobAcctGatherType=jobacct_gather/none\n\
             JobCompType=jobcomp/filetxt\nJobCompLoc={here}/jobcomp.txt\nSchedulerType=sched/backfill\n\
             SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0\n\
             SlurmdParameters=config_overrides\nKillWait=5\nReturnToService=2\n\
             NodeName=node1 NodeHostname={host} NodeAddr=127.0.0.1 Port={node} CPUs=4 RealMemory=64000 State=UNKNOWN\n\
             PartitionName=debug Nodes=node1 Default=YES MaxTime=INFINITE State=UP\n"
        );
        if let Some(plugins) = self.programs.plugins() {
            let _ = writeln!(conf, "PluginDir={}", plugins.display());
        }
        files::write(Path::new(&self.path("slurm.conf")), conf.as_bytes()).unwrap();
    }

    fn start_munge(&self) {
        let output = self
            .command("munged")
            .args([format!("--key-file={}", self.path("munge.key")), format!("--socket={}", self.path("munge.sock"))])
            .args([
                format!("--pid-file={}", self.path("munged.pid")),
                format!("--log-file={}", self.path("munged.log")),
            ])
            .arg(format!("--seed-file={}", self.path("munged.seed")))
            .arg("--num-threads=2")
            .output()
            .unwrap();
        assert!(output.status.success(), "munged: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn start_controller(&self, options: &[&str]) {
        self.daemon("slurmctld", options);
    }

    fn start_node(&self) {
        let mut options = vec!["-N".to_owned(), "node1".to_owned()];
        if let Some(tree) = &self.programs.tree {
            options.extend(["-d".to_owned(), tree.join("usr/sbin/slurmstepd").display().to_string()]);
        }
        self.daemon("slurmd", &options.iter().map(String::as_str).collect::<Vec<_>>());
    }

    fn daemon(&self, name: &str, options: &[&str]) {
        let mut command = self.command(name);
        let status = command.args(options).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
        assert!(status.success(), "{name}: {}", self.logs());
    }

    /// Stops the controller, as for maintenance; jobs go on.
    pub(crate) fn stop_controller(&self) {
        self.stop("slurmctld");
    }

    /// Starts it again, with all that it knew.
    pub(crate) fn resume_controller(&self) {
        self.start_controller(&[]);
        assert!(wait_for(300, || self.command("scontrol").arg("ping").output().is_ok_and(|o| says(&o, "UP"))));
    }

    /// A command that knows this cluster.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.program(program));
        command.envs(self.environment());
        command
    }

    /// A program by its full path: what a command is found by is not what it is told.
    fn program(&self, name: &str) -> PathBuf {
        let Some(tree) = &self.programs.tree else { return PathBuf::from(name) };
        let own = ["usr/bin", "usr/sbin"].map(|folder| tree.join(folder).join(name));
        own.into_iter().find(|path| path.exists()).unwrap_or_else(|| PathBuf::from(name))
    }

    /// What makes any command know this cluster.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let mut environment = self.programs.environment();
        environment.push(("SLURM_CONF".into(), self.path("slurm.conf")));
        environment
    }

    /// What Slurm itself notes of ended jobs, for ever: a line each.
    pub(crate) fn completed(&self) -> String {
        files::read_text(Path::new(&self.path("jobcomp.txt"))).unwrap_or_default()
    }

    fn logs(&self) -> String {
        let tail = |name: &str| {
            let text = files::read_text(Path::new(&self.path(name))).unwrap_or_default();
            let lines: Vec<&str> = text.lines().rev().take(6).collect();
            lines.into_iter().rev().collect::<Vec<_>>().join("\n")
        };
        ["slurmctld.log", "slurmd.log"].map(tail).join("\n")
    }

    fn stop(&self, daemon: &str) {
        let Ok(pid) = files::read_text(Path::new(&self.path(&format!("{daemon}.pid")))) else { return };
        let pid = pid.trim().to_owned();
        let _ = Command::new("kill").arg(&pid).status();
        assert!(
            wait_for(15, || !Path::new("/proc").join(&pid).exists() || thread::panicking()),
            "{daemon} does not stop"
        );
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let user = text(&Command::new("id").arg("-u").output().unwrap());
        // Jobs outlive the daemon that started them, so they end first.
        let _ = self.command("scancel").args(["-u", &user]).output();
        wait_for(15, || self.command("squeue").arg("-h").output().is_ok_and(|output| text(&output).is_empty()));
        for daemon in ["slurmd", "slurmctld", "munged"] {
            self.stop(daemon);
        }
    }
}

/// Asks until the answer is yes, for so many seconds.
pub(crate) fn wait_for(seconds: u64, mut question: impl FnMut() -> bool) -> bool {
    #[expect(clippy::disallowed_methods, reason = "tests may look at the clock")]
    let begun = Instant::now();
    loop {
        if question() {
            return true;
        }
        if begun.elapsed() > Duration::from_secs(seconds) {
            return false;
        }
        thread::sleep(Duration::from_millis(100));
    }
}

fn says(output: &Output, word: &str) -> bool {
    String::from_utf8_lossy(&output.stdout).contains(word)
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn host() -> String {
    let name = files::read_text(Path::new("/proc/sys/kernel/hostname")).unwrap();
    name.trim().split('.').next().unwrap_or_default().to_owned()
}

fn name_is_loopback() -> bool {
    use std::net::ToSocketAddrs as _;
    (host().as_str(), 0).to_socket_addrs().is_ok_and(|mut found| found.any(|address| address.ip().is_loopback()))
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
