-- Removes the record. A live lease stays but is revoked: others go on waiting for its holder, whose
-- Commit is refused. A value without a frame stays, since it is not ours.
-- Returns {1, 0} if there was a record, else {0, 0}.
if foreign then return {0, 0} end
local had = present and not tombstone and 1 or 0
if not live then
  redis.call('DEL', key)
  return {had, 0}
end
revoked = true
if producer == BLANK then
  save()
else
  producer, dies, life, tombstone = BLANK, 0, 0, false
  redis.call('DEL', key) -- afterwards a full server allows the SET
  redis.call('SET', key, frame())
  expire()
end
return {had, 0}
