/* verbs.h — the table of verbs, with their parameters on the administrator's socket and on the command line. Data alone.
 *
 * core/admin/admin.c makes the server's table of it, cmd/wavechatctl/main.c that program's arguments, help and completion; the manual
 * pages are checked against it. The rows of either kind are listed and shown in this order.
 *
 * REQUEST(id, method, path, role, verb, parameters, help): one request; verb_<id> in core/admin answers it.
 * COMMAND(id, verb, operands, choices, least, most, help, options): one verb of wavechatctl; run_<id> there does it.
 * - choices: words for an operand, or NULL
 * - least and most: the number of operands, -1 for any
 * - options: OPTION(name, value, help) or OPTION_OF(name, value, choices, help), value NULL if it takes none */
#ifndef WC_ADMIN_VERBS_H
#define WC_ADMIN_VERBS_H

/* clang-format off */
#define OPTION(name, value, help) { name, value, help, NULL }
#define OPTION_OF(name, value, choices, help) { name, value, help, choices }

#define VERB_FOR OPTION("for", "TIME", "length of time: 90s, 30m, 2h, 7d; without it, for good")
#define VERB_REASON OPTION("reason", "TEXT", "the reason: shown to the person, kept in the audit")
#define VERB_NAME OPTION("name", "NAME", "a name, in anybody's use")
#define VERB_IP OPTION("ip", "ADDRESS", "an address, or a network such as 10.0.0.0/8")
#define VERB_SANCTION VERB_NAME, VERB_IP, \
	OPTION("with-ip", NULL, "also the addresses that this person uses, or used last"), \
	VERB_FOR, VERB_REASON, \
	OPTION("force", NULL, "even if it hits other people, this machine, or a private network"), \
	OPTION("replace", NULL, "even if that shortens a longer one")
#define VERB_DM \
	OPTION("dm", "USER", "one end of a private talk, in place of the public one; written to the audit"), \
	OPTION("with", "USER", "its other end")

#define ADMIN_VERBS(REQUEST, COMMAND) \
	REQUEST(verbs, "GET", "/v1/verbs", MAY_LOOK, "verbs", "", "this table") \
	REQUEST(status, "GET", "/v1/status", MAY_LOOK, "status", "", "state of the server") \
	COMMAND(status, "status", "", NULL, 0, 0, "state of the server") \
	COMMAND(top, "top", "", NULL, 0, 0, "state of the server, live, until you press q", \
		OPTION("interval", "SECONDS", "between two looks; 1 by default")) \
	REQUEST(metrics, "GET", "/v1/metrics", MAY_LOOK, "metrics", "", "counters, as Prometheus reads them") \
	REQUEST(users, "GET", "/v1/users", MAY_LOOK, "users", "after limit all q net", \
		"people online, or with all=1 known, or of a network") \
	COMMAND(users, "users", "[PART-OF-NAME]", NULL, 0, 1, "people online", \
		OPTION("all", NULL, "everybody known, online or not, with their last address"), \
		OPTION("ip", "ADDRESS", "people of an address or network, connected now or last")) \
	REQUEST(kick, "POST", "/v1/kick", MAY_MODERATE, "kick", "user reason", "close every connection of a person") \
	COMMAND(kick, "kick", "USER", NULL, 1, 1, "close every connection of a person, who may come back", VERB_REASON) \
	REQUEST(bans, "GET", "/v1/bans", MAY_LOOK, "bans", "", "bans in force") \
	REQUEST(ban, "POST", "/v1/ban", MAY_MODERATE, "ban", "user name net with_ip for_s reason force replace", \
		"ban a person, a name, an address or a network") \
	COMMAND(ban, "ban", "[USER]", NULL, 0, 1, "keep out a person, a name, an address or a network", VERB_SANCTION) \
	REQUEST(unban, "POST", "/v1/unban", MAY_MODERATE, "unban", "sanction user name net", "lift a ban") \
	COMMAND(unban, "unban", "[USER]", NULL, 0, 1, "lift a ban", \
		VERB_NAME, VERB_IP, OPTION("number", "N", "the ban of this number")) \
	COMMAND(bans, "bans", "", NULL, 0, 0, "bans in force") \
	REQUEST(mutes, "GET", "/v1/mutes", MAY_LOOK, "mutes", "", "mutes in force") \
	REQUEST(mute, "POST", "/v1/mute", MAY_MODERATE, "mute", "user name net with_ip for_s reason force replace", \
		"let somebody read but not write") \
	COMMAND(mute, "mute", "[USER]", NULL, 0, 1, "let somebody read but not write", VERB_SANCTION) \
	REQUEST(unmute, "POST", "/v1/unmute", MAY_MODERATE, "unmute", "sanction user name net", "lift a mute") \
	COMMAND(unmute, "unmute", "[USER]", NULL, 0, 1, "lift a mute", \
		VERB_NAME, VERB_IP, OPTION("number", "N", "the mute of this number")) \
	COMMAND(mutes, "mutes", "", NULL, 0, 0, "mutes in force") \
	REQUEST(slow, "GET", "/v1/slow", MAY_LOOK, "slow", "", "the pause between two public messages of one person") \
	REQUEST(slow_set, "POST", "/v1/slow", MAY_MODERATE, "slow", "seconds", "set that pause; 0 ends it") \
	COMMAND(slow, "slow", "[SECONDS]", "off", 0, 1, "limit everyone to one public message per SECONDS; 0 turns it off") \
	REQUEST(lockdown, "GET", "/v1/lockdown", MAY_LOOK, "lockdown", "", "whether new people may come, and people may write") \
	REQUEST(lockdown_set, "POST", "/v1/lockdown", MAY_MODERATE, "lockdown", "on read_only for_s reason", \
		"let no new people in, or let nobody write; or end that") \
	COMMAND(lockdown, "lockdown", "[on|off]", "on off", 0, 1, \
		"let no new people in, or let nobody write; without an operand, says how it is", \
		OPTION("read-only", NULL, "nobody writes, either"), \
		OPTION("for", "TIME", "length of time: 90s, 30m, 2h, 7d; without it, until you end it"), \
		OPTION("reason", "TEXT", "the reason: kept in the audit")) \
	REQUEST(say, "POST", "/v1/say", MAY_MODERATE, "say", "text", "tell everyone online") \
	COMMAND(say, "say", "TEXT...", NULL, 1, -1, "tell everyone online") \
	REQUEST(delete, "POST", "/v1/delete", MAY_MODERATE, "delete", "ids reason", "delete messages by id") \
	COMMAND(delete, "delete", "MESSAGE-ID...", NULL, 1, -1, "delete messages", VERB_REASON) \
	REQUEST(purge, "POST", "/v1/purge", MAY_MODERATE, "purge", "user net people since after reason dry_run", \
		"delete messages and files of people; again with after while more") \
	COMMAND(purge, "purge", "[USER]", NULL, 0, 1, "delete all messages and files of a person", \
		OPTION("ip", "ADDRESS", "of everybody whose last address lies in this network"), \
		OPTION("since", "TIME", "only messages since then, as with history"), \
		OPTION("dry-run", NULL, "only count, and delete nothing"), \
		OPTION("yes", NULL, "do not ask, as a terminal is asked"), VERB_REASON) \
	REQUEST(history, "GET", "/v1/history", MAY_LOOK, "history", "after limit last user since until grep dm with addresses", \
		"messages by id; private ones if both ends are named") \
	COMMAND(history, "history", "", NULL, 0, 0, "messages, oldest first", VERB_DM, \
		OPTION("user", "USER", "only this person's"), \
		OPTION("since", "TIME", "from 2026-01-31, from 2026-01-31T12:30, or how long ago: 2h, 7d"), \
		OPTION("until", "TIME", "up to this time"), \
		OPTION("grep", "TEXT", "only those that contain it"), \
		OPTION("last", "N", "only the newest N"), \
		OPTION_OF("format", "FORMAT", "text jsonl html", "text, jsonl or html"), \
		OPTION("follow", NULL, "go on with new messages, until interrupted"), \
		OPTION("addresses", NULL, "each author's last address, too; in text alone")) \
	REQUEST(files, "GET", "/v1/files", MAY_LOOK, "files", "after limit last user since until grep dm with", \
		"the same, of files and voices alone") \
	COMMAND(files, "files", "", NULL, 0, 0, "files and voices", VERB_DM, \
		OPTION("user", "USER", "only this person's"), \
		OPTION("since", "TIME", "as with history"), \
		OPTION("until", "TIME", "up to this time"), \
		OPTION("grep", "TEXT", "only those whose name contains it"), \
		OPTION("last", "N", "only those among the newest N messages")) \
	REQUEST(audit, "GET", "/v1/audit", MAY_LOOK, "audit", "after limit last", "acts of admins") \
	COMMAND(audit, "audit", "", NULL, 0, 0, "acts of admins: author, time, reason", OPTION("last", "N", "only the newest N")) \
	REQUEST(backup_start, "POST", "/v1/backup", MAY_OPERATE, "backup", "", "make a checked copy of the database") \
	REQUEST(backup_hold, "POST", "/v1/backup/hold", MAY_OPERATE, "backup", "", "the same, ended when this request's connection is") \
	REQUEST(backup_state, "GET", "/v1/backup", MAY_OPERATE, "backup", "", "progress of the backup") \
	REQUEST(backup_database, "GET", "/v1/backup/database", MAY_OPERATE, "backup", "", "the copy's bytes") \
	REQUEST(backup_blobs, "GET", "/v1/backup/blobs", MAY_OPERATE, "backup", "after", "which files belong to it") \
	REQUEST(backup_blob, "GET", "/v1/backup/blob", MAY_OPERATE, "backup", "sha", "one of those") \
	REQUEST(backup_end, "POST", "/v1/backup/end", MAY_OPERATE, "backup", "", "finish or cancel a backup") \
	COMMAND(backup, "backup", "FILE", NULL, 1, 1, "all data, as of one moment, in one file; \"-\": to standard output", \
		OPTION("force", NULL, "even if FILE is there already"), \
		OPTION("keep", "N", "FILE is a folder: write a file named by the time, then remove the oldest of these beyond N")) \
	COMMAND(restore, "restore", "FILE DIR", NULL, 2, 2, "check a backup and make a data folder of it; \"-\": from standard input", \
		OPTION("partial", NULL, "also a damaged backup: without the files that are missing or rotten")) \
	REQUEST(verify_start, "POST", "/v1/verify", MAY_OPERATE, "verify", "", "check the database, while the server runs") \
	REQUEST(verify_state, "GET", "/v1/verify", MAY_OPERATE, "verify", "", "progress of the check, and its findings") \
	REQUEST(verify_blobs, "GET", "/v1/verify/blobs", MAY_OPERATE, "verify", "after", "files that messages stand for") \
	REQUEST(verify_blob, "GET", "/v1/verify/blob", MAY_OPERATE, "verify", "sha", "the bytes of one of them") \
	REQUEST(verify_files, "GET", "/v1/verify/files", MAY_OPERATE, "verify", "after", "messages that stand for files") \
	REQUEST(verify_strays, "GET", "/v1/verify/strays", MAY_OPERATE, "verify", "after", "stored files that no message stands for") \
	COMMAND(verify, "verify", "[DIR|FILE]", NULL, 0, 1, "check the server's database and files, or a data folder at rest, or a backup") \
	COMMAND(metrics, "metrics", "", NULL, 0, 0, "counters, as Prometheus reads them") \
	REQUEST(config, "GET", "/v1/config", MAY_LOOK, "config", "", "the settings in force and where each came from") \
	COMMAND(config, "config", "", NULL, 0, 0, "the settings in force, their sources, and those that wait for a restart") \
	REQUEST(log_level, "GET", "/v1/log-level", MAY_LOOK, "log-level", "", "amount of log") \
	REQUEST(log_level_set, "POST", "/v1/log-level", MAY_OPERATE, "log-level", "level", "log more or less, until the server ends") \
	COMMAND(log_level, "log-level", "[LEVEL]", "error warn info debug", 0, 1, "amount of log: error, warn, info or debug") \
	COMMAND(completion, "completion", "SHELL", "bash zsh fish", 1, 1, "completion for bash, zsh or fish, on standard output") \
	COMMAND(help, "help", "[VERB]", NULL, 0, 1, "purpose and options of a verb")
/* clang-format on */

#endif
