DROP FUNCTION broken, first_match, first_of;
