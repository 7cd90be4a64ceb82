DROP FUNCTION broken, first_in, first_of;
