import Replication
import Storage

extension Server {
    func writeJournal(_ text: inout MetricsText) {
        text.family(
            "quorate_journal_sync_duration_seconds", .histogram,
            "Batches, written and synced, on the disk thread.")
        text.histogram(lane.syncLatency)
        let counted = lane.journal.counters
        for (name, value, help) in [
            ("bytes", counted.bytes, "Bytes of batches that are durable."),
            ("disk_bytes", counted.diskBytes, "What they take of the segments."),
            ("records", counted.records, "Records that are durable."),
            ("batches", counted.batches, "Batches that are durable."),
            ("syncs", counted.syncs, "Syncs of files, upkeep included."),
            ("segments_prepared", counted.segmentsPrepared, "Segments filled with zeros ahead."),
            ("segments_removed", counted.segmentsRemoved, "Files that a checkpoint freed."),
            (
                "preparations_refused", counted.preparationsRefused,
                "Times that the disk had no room for the next segment."
            ),
            ("checkpoints_finished", counted.checkpointsFinished, "Checkpoints that count."),
            (
                "checkpoints_abandoned", counted.checkpointsAbandoned,
                "Checkpoints given up for want of room."
            ),
        ] {
            text.single("quorate_journal_\(name)_total", .counter, value, help)
        }
        writeJournalGauges(&text)
    }

    private func writeJournalGauges(_ text: inout MetricsText) {
        text.single(
            "quorate_journal_segments", .gauge, lane.journal.segmentCount,
            "Segment files, the one being filled included.")
        text.single(
            "quorate_journal_backlog_bytes", .gauge, lane.backlogBytes,
            "Records that wait for their batch.")
        text.single(
            "quorate_journal_since_checkpoint_bytes", .gauge, lane.journal.bytesSinceCheckpoint,
            "Journal that a restart would read behind the last checkpoint.")
        text.single(
            "quorate_checkpoint_under_way", .gauge, lane.journal.isCheckpointing ? 1 : 0,
            "Whether a checkpoint is being written.")
        text.single(
            "quorate_disk_full", .gauge, node.isDiskShort ? 1 : 0,
            "Whether writes, or large ones in the last minute, are refused for want of disk space.")
        text.single(
            "quorate_disk_busy", .gauge, diskRoom == .busy ? 1 : 0,
            "Whether writes are refused because too much waits for the disk.")
        text.single(
            "quorate_journal_disk_bytes", .gauge, lane.journal.diskBytes,
            "Journal and checkpoint on disk, without the zeros ahead.")
    }

    func writeRecovery(_ text: inout MetricsText) {
        let report = recovery.report
        text.family("quorate_recovery_duration_seconds", .gauge, "What the start took to read.")
        text.sample(nanoseconds: recovery.nanoseconds)
        for (name, value, help) in [
            ("checkpoint_records", report.checkpointRecords, "Read from the checkpoint."),
            ("journal_records", report.journalRecords, "Read from the journal behind it."),
            ("bytes", report.bytesRead, "Read in all."),
            ("dropped_bytes", report.droppedBytes, "Of a torn tail, never acknowledged."),
            ("quarantined", report.quarantined.count, "Damaged stretches that were left out."),
        ] {
            text.single("quorate_recovery_\(name)", .gauge, value, help)
        }
    }
}
