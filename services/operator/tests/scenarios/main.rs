//! What the operator does with objects, seen from outside: against a stand-in of the API server, or a real one where
//! `STAGEDOOR_E2E_KUBECONFIG` names its kubeconfig, and a stand-in of the admin API behind the operator's own client.

#![expect(clippy::unwrap_used, reason = "a test that has nothing to go on with fails")]
#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]

mod agent_keys;
mod cluster;
mod cut_off;
mod faults;
mod installation;
mod installations;
mod keys;
mod manifests;
mod merging;
mod provider_apps;
mod real_installation;
mod replicas;
mod services;
mod stage;
mod tenants;
mod validation;
