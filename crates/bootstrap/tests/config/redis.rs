//! The addresses of Redis: one server or a cluster, for the cache and the limits together.

use insta::assert_snapshot;
use stagedoor_bootstrap::Config;

use super::{VALID, setting};

#[test]
fn a_cluster_needs_servers_and_several_servers_a_cluster() {
    let yaml = format!(
        "{VALID}
cache:
  redis_cluster: true
  stale_if_error_seconds: 604801
rate_limiting:
  redis_url: redis://:pa55@a:6379/,redis://:pa55@b:6379/
  minimum_replicas: 0
server:
  max_in_flight: 3
  tenant_share_percent: 101
"
    );
    let refusal = setting(&yaml, &[]).refusal();
    assert!(!refusal.contains("pa55"), "{refusal}");
    assert_snapshot!(refusal, @r#"
    the configuration has 6 problems:
      - cache.stale_if_error_seconds: 604801 is out of range (from /etc/stagedoor/stagedoor.yaml); wanted: Seconds after its life in which an answer is given, marked as stale, when the provider fails; 0 never does (from 0 to 604800)
      - rate_limiting.minimum_replicas: 0 is out of range (from /etc/stagedoor/stagedoor.yaml); wanted: Replicas among which a quota is divided at least while the shared limiter is out of reach (from 1 to 10000)
      - server.max_in_flight: 3 is out of range (from /etc/stagedoor/stagedoor.yaml); wanted: Requests under way at a time in one process, open streams among them; one more is refused at once (from 4 to 1000000)
      - server.tenant_share_percent: 101 is out of range (from /etc/stagedoor/stagedoor.yaml); wanted: The share of these, in percent, that one tenant may have under way; a tenant's own `concurrent_calls` goes first (from 1 to 100)
      - cache.redis_url: it is required by cache.redis_cluster; wanted: an address of one of its servers, such as `redis://cache-0:6379/`
      - rate_limiting.redis_url: several servers are named that are no cluster (from /etc/stagedoor/stagedoor.yaml); wanted: one address, or `rate_limiting.redis_cluster: true`
    "#);

    let environment = [
        ("STAGEDOOR_RATE_LIMITING__REDIS_CLUSTER", "true"),
        ("STAGEDOOR_RATE_LIMITING__REDIS_URL", "redis://:pa55@a:6379/,redis://:pa55@b:6379/"),
        ("STAGEDOOR_CACHE__REDIS_URL", "redis://c/"),
    ];
    let config = setting(VALID, &environment).load();
    assert!(config.rate_limiting.redis_cluster && !config.cache.redis_cluster);
    assert!(!config.show().contains("pa55") && config.show().contains("b:6379"), "{}", config.show());
    let broken = [environment[0], ("STAGEDOOR_RATE_LIMITING__REDIS_URL", "redis://a:6379/,http://b:6379/")];
    assert!(setting(VALID, &broken).refusal().contains("it is no address of a Redis server"));
}

#[test]
fn a_cluster_has_one_database_only() {
    let refusal = |address: &str, cluster: bool| {
        let section = format!("{{redis_url: '{address}', redis_cluster: {cluster}}}");
        let yaml = format!("{VALID}\ncache: {section}\nrate_limiting: {section}\n");
        Config::load(&setting(&yaml, &[]).options).err().map(|errors| errors.to_string())
    };
    for address in ["redis://a:6379/3", "redis://a:6379,rediss://b:6379/1"] {
        let told = refusal(address, true).unwrap();
        for path in ["cache.redis_url", "rate_limiting.redis_url"] {
            let wanted =
                format!("{path}: it names a database by number, and a Redis Cluster has only number 0");
            assert!(told.contains(&wanted), "{told}");
        }
    }
    assert_eq!(refusal("redis://a:6379/3", false), None);
    for address in ["redis://a:6379", "redis://a:6379/", "redis://a:6379/0,redis://b:6379"] {
        assert_eq!(refusal(address, true), None);
    }
}

#[test]
fn the_cache_and_the_limits_are_shared_together() {
    let yaml = |sections: &str| format!("{VALID}\n{sections}\n");
    let cache = "cache: {redis_url: 'redis://c/'}";
    let limits = "rate_limiting: {redis_url: 'redis://l/'}";
    assert_snapshot!(setting(&yaml(limits), &[]).refusal(), @r"
    the configuration has 1 problem:
      - cache.redis_url: it is required where rate_limiting.redis_url is given: replicas that share no cache do not learn of each other's writes and give answers from before them; wanted: both addresses, or neither for a single replica, or `cache.enabled: false`
    ");
    assert_snapshot!(setting(&yaml(cache), &[]).refusal(), @r"
    the configuration has 1 problem:
      - rate_limiting.redis_url: it is required where cache.redis_url is given: replicas that share no limits each admit a tenant's whole quota; wanted: both addresses, or neither for a single replica, or `cache.enabled: false`
    ");
    for alone in [
        format!("{cache}\n{limits}"),
        format!("cache: {{enabled: false}}\n{limits}"),
        "cache: {enabled: false, redis_url: 'redis://c/'}".to_owned(),
        format!("{cache}\nrate_limiting: {{enabled: false}}"),
        String::new(),
    ] {
        setting(&yaml(&alone), &[]).load();
    }
}
