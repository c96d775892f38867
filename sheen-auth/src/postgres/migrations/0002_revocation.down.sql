DROP FUNCTION sheen.revoke_v1(text, bigint);
DROP TABLE sheen.revocations;
