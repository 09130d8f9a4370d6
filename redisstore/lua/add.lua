-- Is set.lua if there is no record, and otherwise does nothing and returns {0, 0}; but {1, 0} if the record is its own: then
-- this is a copy of a command that was carried out. Our clients send none: one that comes after a Delete cannot be told from
-- a new command.
if there and not mark then return {producer == ARGV[1] and 1 or 0, 0} end
local woken = wake(ARGV[2])
store(ARGV[1], ARGV[3], false, ARGV[4])
return {1, woken}
