//! `KeyService`: which keys there are, by their ids. No key leaves through here.

use stagedoor_proto::admin::v1::{
    DataKey, ListDataKeysRequest, ListDataKeysResponse, ListReplicasRequest, ListReplicasResponse,
    ListRotationsRequest, ListRotationsResponse, Replica, Rotation,
};
use stagedoor_storage::{data_keys, replicas, rotation};

use crate::call::AdminCall;
use crate::error::AdminError;
use crate::page::{self, Place};
use crate::{texts, times};

/// Lists a tenant's data keys, the newest first.
pub async fn list_data_keys(
    call: &AdminCall,
    request: ListDataKeysRequest,
) -> Result<ListDataKeysResponse, AdminError> {
    let size = page::size(request.page_size)?;
    let before = page::after::<Place>(&request.page_token)?.map(Place::pair);
    let read = async |tx: &mut _| data_keys::list(tx, before, i64::from(size) + 1).await;
    let mut keys = call.store().with_tenant(call.context(), read).await?;
    let next_page_token =
        page::cut(&mut keys, size, |key| Place { at: key.created_at, id: key.id }.to_string());
    let key = |key: data_keys::KeyRecord| DataKey {
        data_key_id: key.id.to_string(),
        owner: key.user.map_or_else(|| "tenant".to_owned(), |user| user.to_string()),
        state: key.state,
        wrapped_by: key.wrapped_by.to_string(),
        create_time: Some(times::timestamp(key.created_at)),
    };
    Ok(ListDataKeysResponse { data_keys: keys.into_iter().map(key).collect(), next_page_token })
}

/// Lists the newest rotation of each layer.
pub async fn list_rotations(
    call: &AdminCall,
    request: ListRotationsRequest,
) -> Result<ListRotationsResponse, AdminError> {
    let listed = rotation::list(&call.rooms().provisioning, call.context()).await?;
    let shown = |rotation: rotation::Rotation| Rotation {
        layer: rotation.layer.as_str().to_owned(),
        state: rotation.state.as_str().to_owned(),
        compromised: rotation.compromised,
        counts: rotation.counts.into_iter().map(|(name, count)| (name, count.cast_signed())).collect(),
        start_time: Some(times::timestamp(rotation.started_at)),
        update_time: Some(times::timestamp(rotation.updated_at)),
        end_time: times::optional(rotation.ended_at),
    };
    let paging = (request.page_size, request.page_token.as_str());
    let (listed, next_page_token) =
        page::of_few(listed, paging, |rotation| rotation.layer.as_str().to_owned())?;
    Ok(ListRotationsResponse { rotations: listed.into_iter().map(shown).collect(), next_page_token })
}

/// Lists the replicas that are there.
pub async fn list_replicas(
    call: &AdminCall,
    request: ListReplicasRequest,
) -> Result<ListReplicasResponse, AdminError> {
    let live = call.store().live_replicas(replicas::LIVE_WITHIN).await?;
    let paging = (request.page_size, request.page_token.as_str());
    let (live, next_page_token) =
        page::of_few(live, paging, |seen| Place { at: seen.started_at, id: seen.report.id })?;
    Ok(ListReplicasResponse { replicas: live.into_iter().map(replica).collect(), next_page_token })
}

fn replica(seen: replicas::Replica) -> Replica {
    let report = seen.report;
    Replica {
        replica_id: report.id.to_string(),
        host: report.host,
        version: report.version,
        key_encryption_keys: report.key_encryption_keys.iter().map(ToString::to_string).collect(),
        wraps_with: report.wraps_with.map(|key| key.to_string()).unwrap_or_default(),
        pepper_versions: report.pepper_versions.into_iter().map(u32::from).collect(),
        clock_skew_milliseconds: report.clock_skew.num_milliseconds(),
        configuration_digest: texts::hex(&report.configuration_digest),
        start_time: Some(times::timestamp(seen.started_at)),
        seen_time: Some(times::timestamp(seen.seen_at)),
    }
}
