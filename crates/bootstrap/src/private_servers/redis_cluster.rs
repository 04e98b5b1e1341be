//! A private Redis Cluster for tests: three nodes on loopback that share the slots, without copies of each other.

use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::network::free_port;
use super::{PrivateRedis, PrivateServerError};

const SLOTS: u16 = 16_384;
const NODES: u16 = 3;
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

/// A running cluster. Dropping it stops its nodes.
#[derive(Debug)]
pub struct PrivateRedisCluster {
    nodes: Vec<PrivateRedis>,
}

impl PrivateRedisCluster {
    /// Starts the nodes, each with a folder of its own in `folder`, and waits until they agree on who has which slots.
    pub async fn start(folder: &Path) -> Result<Self, PrivateServerError> {
        let mut nodes = Vec::new();
        let mut first_bus = 0;
        for number in 0..NODES {
            let folder = folder.join(format!("node-{number}"));
            std::fs::create_dir_all(&folder)
                .map_err(PrivateServerError::io(format!("create {}", folder.display())))?;
            // By default the nodes talk on a port 10,000 above, which not every free port leaves room for.
            let bus = free_port()?;
            let (bus_port, timeout) = (bus.to_string(), "2000");
            let arguments = [
                ["--cluster-enabled", "yes"],
                ["--cluster-port", &bus_port],
                ["--cluster-node-timeout", timeout],
                ["--cluster-require-full-coverage", "no"],
            ];
            let node = PrivateRedis::start_with(&folder, arguments.as_flattened()).await?;
            let (from, to) = (SLOTS / NODES * number, SLOTS / NODES * (number + 1) - 1);
            let to = if number + 1 == NODES { SLOTS - 1 } else { to };
            command(&node, &format!("CLUSTER ADDSLOTSRANGE {from} {to}")).await?;
            match nodes.first() {
                None => first_bus = bus,
                Some(first) => {
                    let first = PrivateRedis::port(first);
                    command(&node, &format!("CLUSTER MEET 127.0.0.1 {first} {first_bus}")).await?;
                }
            }
            nodes.push(node);
        }
        let cluster = Self { nodes };
        cluster.agreed().await?;
        Ok(cluster)
    }

    /// The addresses of all nodes, separated by commas.
    pub fn urls(&self) -> String {
        self.nodes.iter().map(PrivateRedis::url).collect::<Vec<_>>().join(",")
    }

    /// The nodes.
    pub fn nodes(&self) -> &[PrivateRedis] {
        &self.nodes
    }

    async fn agreed(&self) -> Result<(), PrivateServerError> {
        let agreed = async {
            for node in &self.nodes {
                loop {
                    let state = command(node, "CLUSTER INFO").await?;
                    let knows = |fact: String| state.contains(&fact);
                    if knows("cluster_state:ok".to_owned())
                        && knows(format!("cluster_known_nodes:{NODES}"))
                        && knows(format!("cluster_slots_assigned:{SLOTS}"))
                    {
                        break;
                    }
                    tokio::time::sleep(POLL).await;
                }
            }
            Ok(())
        };
        tokio::time::timeout(PATIENCE, agreed).await.unwrap_or_else(|_| {
            Err(failed(format!("its nodes did not agree within {} s", PATIENCE.as_secs())))
        })
    }
}

/// Sends one command and returns its answer as it came; an error of the server is one.
async fn command(node: &PrivateRedis, command: &str) -> Result<String, PrivateServerError> {
    let exchange = async {
        let mut stream = TcpStream::connect(("127.0.0.1", node.port())).await?;
        // The server ends the connection once it has answered.
        stream.write_all(format!("{command}\r\nQUIT\r\n").as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let answer = exchange.await.map_err(PrivateServerError::io(format!("ask Redis: {command}")))?;
    if answer.starts_with('-') { Err(failed(format!("{command}: {answer}"))) } else { Ok(answer) }
}

fn failed(reason: String) -> PrivateServerError {
    PrivateServerError::NotStarted { program: "Redis Cluster", reason, log: String::new() }
}
