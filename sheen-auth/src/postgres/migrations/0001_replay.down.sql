DROP FUNCTION sheen.replay_reap_v1(bigint);
DROP FUNCTION sheen.replay_spend_v1(text, smallint, bytea, bigint, bytea, bigint, bigint);
DROP FUNCTION sheen.replay_forget_v1(text, smallint, bigint, bigint);
DROP TABLE sheen.replay;
DROP TABLE sheen.replay_shards;
