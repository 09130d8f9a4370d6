-- Does what set.lua does if there is no record, and else nothing.
-- ARGV: as for set.lua.
-- Returns {1, wake} if it has stored. Returns {1, 0} if the record has this Version, since then an
-- earlier copy of this command has stored it. Else returns {0, 0}.
-- The clients of this package send no copies: one that arrives after a Delete could not be told
-- from a new command. A tombstone counts as no record.
if present and not tombstone then return {producer == ARGV[1] and 1 or 0, 0} end
local woken = wake(ARGV[2])
store(ARGV[1], ARGV[3], false, ARGV[4])
return {1, woken}
