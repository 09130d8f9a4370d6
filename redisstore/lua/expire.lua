-- Gives a record another life: ARGV = ms from now, or 0 = for ever. Returns {1, 0}, or {0, 0} if there is none.
if not there or mark then return {0, 0} end
life = tonumber(ARGV[1])
dies = life > 0 and now + life or 0
save()
return {1, 0}
