-- Removes the record, and leaves a live lease behind that is void: others wait on for it, and its holder's commit is refused.
-- Returns {1, 0} if there was a record, else {0, 0}. What is not ours stays.
if foreign then return {0, 0} end
local was = there and not mark and 1 or 0
if not live then
  redis.call('DEL', key)
  return {was, 0}
end
void = true
if producer == NOBODY then
  save()
else
  producer, dies, life, mark = NOBODY, 0, 0, false
  redis.call('DEL', key) -- a full server allows the SET then
  redis.call('SET', key, frame())
  expire()
end
return {was, 0}
