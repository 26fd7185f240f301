-- Become the queue's owner: from here on, calls of whoever owned it before are refused.
-- ARGV: the new epoch.
-- Returns whether there was a queue, the number of writes, and the fields of `counts`, which name
-- every pool that was ever used.
local known = call('HEXISTS', META, 'epoch')
call('HSET', META, 'epoch', ARGV[1])
return { known, note_write(), call('HKEYS', COUNTS) }
