DROP FUNCTION sheen.now_ms();
DROP DOMAIN sheen.id;
