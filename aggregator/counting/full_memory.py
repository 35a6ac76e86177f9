"""Scripts for what protects or frees: it must work while Redis' memory is full.

Redis then refuses what may take memory, but in a script only before its first write: so each begins
with a write that takes none. Tried with Redis 6.2 and 7.0 and Valkey 9.1.
"""

from typing import Final

# KEYS[1] a set; ARGV[1] what is put into it.
PAUSE: Final = """
redis.call('SREM', KEYS[1], ARGV[1])
return redis.call('SADD', KEYS[1], ARGV[1])
"""
# KEYS[1] a string; ARGV[1] its new value; ARGV[2] for how many seconds it lives.
SET: Final = """
redis.call('UNLINK', KEYS[1])
return redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
"""
# KEYS[1] a hash; ARGV[1] a field; ARGV[2] its new value.
SET_FIELD: Final = """
redis.call('HDEL', KEYS[1], ARGV[1])
return redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
"""
