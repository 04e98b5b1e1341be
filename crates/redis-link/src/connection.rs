//! What commands are sent on: one server, or the nodes of a cluster, chosen for each command by its keys.

use std::fmt;
use std::time::Duration;

use redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig};
use redis::cluster::{ClusterClientBuilder, ClusterConfig};
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{Route, RoutingInfo, SingleNodeRoutingInfo, SlotAddr};
use redis::io::tcp::TcpSettings;
use redis::io::tcp::socket2::TcpKeepalive;
use redis::{Client, Cmd, ConnectionInfo, IntoConnectionInfo, Pipeline, RedisFuture, RedisResult, Value};
use secrecy::ExposeSecret;

use crate::RedisOptions;

/// How long a connection may take to come about. Commands do not wait for it longer than their own limit.
pub(crate) const CONNECT_PATIENCE: Duration = Duration::from_secs(1);

/// Commands that one cluster connection sends again to where the cluster says the slot has moved.
const REDIRECTIONS: u32 = 3;

/// A shared connection; clones are cheap and share it.
#[derive(Clone)]
pub struct Connection(Kind);

#[derive(Clone)]
enum Kind {
    Server(ConnectionManager),
    Cluster(ClusterConnection),
}

impl Connection {
    /// Connects in the background, so that nothing waits here.
    pub(crate) fn open(options: &RedisOptions) -> RedisResult<Self> {
        let nodes = nodes(options)?;
        if options.cluster {
            let client = ClusterClientBuilder::new(nodes)
                .connection_timeout(CONNECT_PATIENCE)
                .retries(REDIRECTIONS)
                .tcp_settings(tcp_settings())
                .build()?;
            let config = ClusterConfig::new()
                .set_connection_timeout(CONNECT_PATIENCE)
                .set_response_timeout(CONNECT_PATIENCE);
            return Ok(Self(Kind::Cluster(client.get_pending_async_connection_with_config(config))));
        }
        let [node] = <[_; 1]>::try_from(nodes).map_err(|_| several_servers())?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(CONNECT_PATIENCE))
            .set_response_timeout(None)
            .set_number_of_retries(1)
            .set_min_delay(Duration::from_millis(20))
            .set_max_delay(Duration::from_millis(100))
            .set_pipeline_buffer_size(1_024);
        let manager = ConnectionManager::new_lazy_with_config(Client::open(node)?, config)?;
        Ok(Self(Kind::Server(manager)))
    }

    /// Whether there are several nodes.
    pub(crate) fn is_cluster(&self) -> bool {
        matches!(self.0, Kind::Cluster(_))
    }

    /// Runs a command without keys on the primary that has `slot`; on the only server without one.
    pub(crate) async fn at_node(&mut self, command: Cmd, slot: Option<u16>) -> RedisResult<Value> {
        match (&mut self.0, slot) {
            (Kind::Cluster(connection), Some(slot)) => {
                let node = SingleNodeRoutingInfo::SpecificNode(Route::new(slot, SlotAddr::Master));
                connection.route_command(command, RoutingInfo::SingleNode(node)).await
            }
            _ => self.req_packed_command(&command).await,
        }
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match &mut self.0 {
            Kind::Server(connection) => connection.req_packed_command(cmd),
            Kind::Cluster(connection) => connection.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match &mut self.0 {
            Kind::Server(connection) => connection.req_packed_commands(pipeline, offset, count),
            Kind::Cluster(connection) => connection.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match &self.0 {
            Kind::Server(connection) => connection.get_db(),
            Kind::Cluster(connection) => connection.get_db(),
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Server(_) => "Connection(server)",
            Kind::Cluster(_) => "Connection(cluster)",
        })
    }
}

/// The server, or the nodes by which a cluster is found.
pub(crate) fn nodes(options: &RedisOptions) -> RedisResult<Vec<ConnectionInfo>> {
    let urls = options.url.expose_secret().split(',').map(str::trim);
    urls.map(|url| Ok(url.into_connection_info()?.set_tcp_settings(tcp_settings()))).collect()
}

fn several_servers() -> redis::RedisError {
    (redis::ErrorKind::InvalidClientConfig, "several addresses are for a cluster only").into()
}

/// A connection that a firewall drops silently would otherwise hang until the kernel gives up on it, after a
/// quarter of an hour; one that only listens, for ever.
fn tcp_settings() -> TcpSettings {
    let keepalive =
        TcpKeepalive::new().with_time(Duration::from_secs(5)).with_interval(Duration::from_secs(1));
    let settings = TcpSettings::default().set_nodelay(true).set_keepalive(keepalive);
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "fuchsia"))]
    let settings = settings.set_user_timeout(Duration::from_secs(2));
    settings
}
