DROP FUNCTION sheen.recommend_put_v1;
DROP TABLE sheen.recommend_queue;
DROP TABLE sheen.recommendations;
DROP SEQUENCE sheen.recommend_place;
