// The node operations of NodeStorage, through which jobs reach the storage of any node. Sizes, ids and counts
// are integers, names are strings.
//
//   storage.report {} -> {node, devices: [{name, disk, path, state ONLINE|OFFLINE|DISABLED, reason,
//       sector_size, sectors, data_sectors, free_sectors, superblock_bytes, checksum_algorithm, read_only,
//       sync_crc, use_crc, direct_io, ephemeral, io_error, crc_error}], segments: [{vid, index, level,
//       blocks, block_size, disk, kind data|archive|temporary, state ONLINE|OFFLINE|RECOVERING, reason,
//       used_bytes (by the last measure; null before the first), partitions: [{device, start_sector,
//       sectors}], folder}], warnings: [text], auto_bg_rec_limit (MiB/s; 0 before the first calibration)}
//   storage.allocate {vid, index, level, blocks, block_size, disk, kind, state} -> {partitions, folder}
//   storage.free {vid, index, level}            storage.resize {vid, index, level, blocks} -> {partitions}
//   storage.clear {vid, index, level, num_bytes}  storage.set_state {vid, index, level, state}
//   storage.device_add {devname, disk, [sector_size, seccount, read_only, sync_crc, use_crc, ephemeral,
//       direct_io]}    storage.device_modify {devname, [disk, num_sectors, read_only, sector_size]}
//   storage.device_remove|enable|disable|clear_errors {devname}   storage.device_enlarge {devname,
//   num_sectors}
// sector_size is an integer or a text such as "4 KiB". All but device_add, device_modify and device_remove
// are repeatable.
#pragma once

#include "cluster/node_control.h"
#include "storage/node_storage.h"

namespace confd::storage {

// REQUIRES: none of them is registered yet. `storage` outlives all calls.
void register_storage_operations(cluster::NodeControl& control, NodeStorage& storage);

}  // namespace confd::storage
