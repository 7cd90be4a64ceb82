DROP FUNCTION items, broken, first_match, first_of;
