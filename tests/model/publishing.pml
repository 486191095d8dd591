/* Publishing and mastership of confd: three nodes and the store they agree in, every order of their steps.
 *
 * docs/cluster.md says the same in words. tests/model/run explores this model with spin, as it stands (no
 * error), with one rule left out at a time (-DWITHOUT_<RULE>, each must give an error), and with the claim that
 * something does not happen which the model is there for (-DSHOW_<WHAT>, each must give an error too).
 *
 * One text of EXAConf is one job: job j builds text j, once, on the text its master holds; text 0 is the
 * first. Steps are atomic where the store or the disk makes them so: one transaction, one rename. Between any
 * two steps a node may be killed, stopped (SIGSTOP) or cut off, as often as the budgets below allow. The
 * environment may become calm at any time: no further faults, all heals. The last job comes in calm weather, and
 * wherever the model then comes to rest everything must be in order (Observer): from every state the way back to a
 * commit is open.
 *
 * Not in it: the store itself (etcd is taken at its word: transactions happen one after the other, and a key of
 * a lease goes with it), loss of a node's disk, hand edits, several jobs in one write.
 */
#ifndef JOBS
#define JOBS 3
#endif
#ifndef CRASHES
#define CRASHES 1 /* kill -9 of a node */
#endif
#ifndef PAUSES
#define PAUSES 1 /* SIGSTOP; a lease may end meanwhile, and the node goes on in the middle of its step */
#endif
#ifndef CUTS
#define CUTS 1 /* the link between a node and the store, both ways */
#endif
#ifndef LOSSES
#define LOSSES 1 /* an answer that does not come: the link is cut one way */
#endif
#ifndef CLOCKS
#define CLOCKS 0 /* a node's clock lets it believe in its lease too long */
#endif
#ifndef HANDOVERS
#define HANDOVERS 0 /* master_change: the key is given up, the node's lease lives on */
#endif
#define NODES 3
#define SUSPENDS 2 /* text 2 and its descendants suspend node 2 */

#define IN(set, j) ((set >> (j)) & 1)
#define SET(j) (1 << (j))

/* --- the store -------------------------------------------------------------------------------------------- */
byte conf = 0;          /* the text in force */
byte position = 0;      /* how often it was put: etcd's mod_revision of the key */
byte published = 1;     /* set of texts that were ever in force: the history */
byte term = 0;          /* which mastership this is, 0 nobody: etcd's create_revision of the master's key */
byte last_term = 0;
byte owner = 0;         /* the node of the master's key; its lease is the node's lease */
byte key[NODES] = 0;    /* text + 1 that a live node says it holds; 0: its lease has ended, or it has none */
byte recorded = 0;      /* jobs with a record {node, term, base, number, checksum} */
byte ended_by_lease = 0; /* jobs whose master's lease has ended since (only for WITHOUT_TERM_OF_KEY) */

/* --- what is known of a text, and where its transaction is --------------------------------------------------- */
byte number[JOBS + 1] = 0;    /* the revision number */
byte ancestors[JOBS + 1] = 0; /* set of texts it was built on, itself included */
byte put_at[JOBS + 1] = 0;    /* position */
byte base[JOBS + 1] = 0;      /* position of the text it was built on */
byte by[JOBS + 1] = 0;        /* node */
byte by_term[JOBS + 1] = 0;
byte copies[JOBS + 1] = 0;    /* of the transaction, on their way */
byte answer[JOBS + 1] = 0;    /* of the last copy sent */
#define YES 1
#define NO 2
byte jobs = 0;                /* accepted so far */
byte told_committed = 0;      /* verdicts somebody was told */
byte told_interrupted = 0;

/* --- the nodes ------------------------------------------------------------------------------------------------ */
#define UP 0
#define DOWN 1
#define STOPPED 2
byte state[NODES] = UP;
bool cut[NODES] = false;
byte file[NODES] = 0;        /* the text on its disk; all else is lost in a crash */
byte mine[NODES] = 0;        /* the term it believes to be master in, 0: it does not */
bool excused[NODES] = false; /* stopped or deceived by its clock since it became master */
byte high[NODES] = 0;        /* highest number it saw or gave out */
byte todo[NODES] = 0;        /* unfinished jobs of masters before, read when it became master */
byte job[NODES] = 0;         /* what its publisher is at */
#define IDLE 0
#define CHECKED 1   /* accepted, built, on record; believes to be master; may be stopped here for long */
#define WAITING 2   /* sent */
#define UNKNOWN 3   /* no answer */
#define PUBLISHED 4 /* in the store, not yet in the own file */
#define SPREADING 5 /* waits for live nodes */
#define TELLING 6   /* has seen that they hold it */
byte at[NODES] = IDLE;

bool calm = false;
byte crashes = CRASHES, pauses = PAUSES, cuts = CUTS, losses = LOSSES, clocks = CLOCKS, handovers = HANDOVERS;

/* Names of what is claimed, so that a violation tells which one; never true. */
hidden byte P5_no_committed_revision_is_lost, P5_live_nodes_hold_what_is_committed, P6_one_text_a_number,
    P7_one_master_publishes, P7_one_master_believes, Verdict_is_true, Verdict_stays, Master_holds_conf,
    Master_is_not_suspended, Node_never_goes_back, Text_is_put_once, Calm_all_jobs_ended, Calm_all_nodes_equal,
    Calm_last_job_is_committed, Shown;
hidden byte some_node, some_text, result;

/* --- rules ------------------------------------------------------------------------------------------------------ */
#ifdef WITHOUT_LEASE_CONDITION
#define STILL_MASTER(j) true
#else
#ifdef WITHOUT_LEASE_IDENTITY /* compares the node's name */
#define STILL_MASTER(j) (term != 0 && owner == by[j])
#else
#ifdef WITHOUT_TERM_OF_KEY /* compares the node's lease, which outlives a mastership that was handed over */
#define STILL_MASTER(j) (term != 0 && owner == by[j] && !IN(ended_by_lease, j))
#else
#define STILL_MASTER(j) (term == by_term[j])
#endif
#endif
#endif

#ifdef WITHOUT_BASE_CONDITION
#define BASE_UNCHANGED(j) true
#else
#define BASE_UNCHANGED(j) (position == base[j])
#endif

#ifdef WITHOUT_CHECKSUM /* the history is asked for the number only */
#define IN_HISTORY(j)                                                                                         \
  (IN(published, j) || (IN(published, 1) && number[1] == number[j]) || (IN(published, 2) && number[2] == number[j]))
#else
#define IN_HISTORY(j) IN(published, j)
#endif

#ifdef WITHOUT_CERTAINTY /* no answer and not there: failed */
#define CERTAIN(j) true
#else
#define CERTAIN(j) (!BASE_UNCHANGED(j) || !STILL_MASTER(j))
#endif

#ifdef WITHOUT_ORDER_OF_REVISIONS
#define NEWER(n, x) (x != file[n])
#else
#define NEWER(n, x) (number[x] > number[file[n]])
#endif

#ifdef WITHOUT_CURRENT_FILE
#define HOLDS_CONF(n) true
#else
#define HOLDS_CONF(n) (file[n] == conf)
#endif

#ifdef WITHOUT_CURRENT_KEY
#define MAY_SAY_ALIVE(n) true
#else
#define MAY_SAY_ALIVE(n) (key[n] != 0 || file[n] == conf)
#endif

#ifdef WITHOUT_WAITING_FOR_LIVE_NODES
#define KEY_HOLDS(n, j) true
#else
#define KEY_HOLDS(n, j) (key[n] == 0 || number[key[n] - 1] >= number[j])
#endif
#ifdef WITHOUT_FRESH_VIEW /* which nodes live is taken from a view older than the put */
byte seen[JOBS + 1] = 0;
#undef KEY_HOLDS
#define KEY_HOLDS(n, j) (!IN(seen[j], n) || key[n] == 0 || number[key[n] - 1] >= number[j])
#endif
#define LIVE_NODES_HOLD(j) (KEY_HOLDS(0, j) && KEY_HOLDS(1, j) && KEY_HOLDS(2, j))

#ifdef WITHOUT_LEASE_ON_RECORD
#define RECORD_ALLOWED(n) true
#else
#define RECORD_ALLOWED(n) (term == mine[n])
#endif

#ifdef WITHOUT_END_OF_TERM /* a node that was killed ends its own jobs while its old key still stands */
#define TERM_IS_OVER(x) true
#else
#define TERM_IS_OVER(x) (term != by_term[x])
#endif

#ifdef WITHOUT_DEADLINE /* goes on until the store says that the lease has ended */
#define STOPS_IN_TIME(n) true
#else
#define STOPS_IN_TIME(n) (mine[n] == 0)
#endif

#define SUSPENDED(n, x) (n == 2 && IN(ancestors[x], SUSPENDS))
#define ALIVE(n) (state[n] == UP)
#define LINKED(n) (state[n] == UP && !cut[n])

inline take(n, x) {
  assert(Node_never_goes_back || number[x] > number[file[n]]);
  file[n] = x;
  if
  :: high[n] < number[x] -> high[n] = number[x]
  :: else
  fi
}

inline publish(j) {
  assert(Verdict_stays || !IN(told_interrupted, j));
  assert(P7_one_master_publishes || by_term[j] == term);
  assert(Text_is_put_once || !IN(published, j));
  for (some_text : 0 .. JOBS) {
    assert(P6_one_text_a_number || !IN(published, some_text) || some_text == j || number[some_text] != number[j]);
  }
  assert(P5_no_committed_revision_is_lost || (ancestors[j] & told_committed) == told_committed);
  conf = j;
  position++;
  put_at[j] = position;
  published = published | SET(j);
}

inline tell_committed(j) {
  assert(Verdict_is_true || IN(published, j));
  assert(Verdict_stays || !IN(told_interrupted, j));
  assert(P5_no_committed_revision_is_lost || IN(ancestors[conf], j));
  for (some_text : 0 .. JOBS) {
    assert(P6_one_text_a_number || !IN(published, some_text) || some_text == j || number[some_text] != number[j]);
  }
  for (some_node : 0 .. NODES - 1) {
    assert(P5_live_nodes_hold_what_is_committed || key[some_node] == 0 || number[file[some_node]] >= number[j]);
  }
  told_committed = told_committed | SET(j);
}

inline tell_interrupted(j) {
  assert(Verdict_is_true || !IN(published, j));
  assert(Verdict_stays || !IN(told_committed, j));
  told_interrupted = told_interrupted | SET(j);
}

inline done(n) {
  at[n] = IDLE;
  job[n] = 0;
}

inline resign(n) {
  mine[n] = 0;
  excused[n] = false;
  todo[n] = 0;
}

inline take_key(n) {
  last_term++;
  term = last_term;
  owner = n
}

inline begin_term(n) {
  assert(Master_holds_conf || file[n] == conf);
  assert(Master_is_not_suspended || !SUSPENDED(n, conf));
  for (some_node : 0 .. NODES - 1) {
    assert(P7_one_master_believes || mine[some_node] == 0 || state[some_node] == STOPPED || excused[some_node]);
  }
  mine[n] = term;
  todo[n] = recorded & ~(told_committed | told_interrupted);
#ifdef WITHOUT_ENDING_JOBS
  todo[n] = 0
#endif
}

#ifdef TAKE_THEN_READ
byte taken[NODES] = 0; /* the term this process took the key for */
#define WILL_NOT_ACT(n) (taken[n] != term || SUSPENDED(n, file[n]))
#define FORGET_KEY(n) taken[n] = 0
#else
#define WILL_NOT_ACT(n) true
#define FORGET_KEY(n) skip
#endif

/* The unfinished job x of a master before: its revision is in the history, or it never will be. */
#define TO_DO(n, x) (LINKED(n) && mine[n] != 0 && at[n] == IDLE && x <= JOBS && IN(todo[n], x))
/* The same for a job in the journal of a node that was killed and is back. */
#define OWN_TO_DO(n, x)                                                                                       \
  (LINKED(n) && mine[n] == 0 && at[n] == IDLE && x <= JOBS && by[x] == n &&                                   \
   IN((recorded & ~(told_committed | told_interrupted)), x) && TERM_IS_OVER(x))
inline end_job(n, x) {
  todo[n] = todo[n] & ~SET(x);
  if
  :: IN(told_committed | told_interrupted, x)
  :: else ->
    if
    :: IN_HISTORY(x) -> job[n] = x; at[n] = SPREADING;
#ifdef SHOW_COMMITTED_BY_NEXT_MASTER
      assert(Shown)
#endif
    :: else -> tell_interrupted(x);
#ifdef SHOW_INTERRUPTED_BY_NEXT_MASTER
      assert(Shown)
#endif
    fi
  fi
}

#define CAN_TAKE(n, x) (ALIVE(n) && x <= JOBS && IN(published, x) && NEWER(n, x))

proctype Node(byte n) {
end:
  do
  /* Follower: news come late, twice and in any order. */
  :: d_step { CAN_TAKE(n, 1) -> take(n, 1) }
  :: d_step { CAN_TAKE(n, 2) -> take(n, 2) }
  :: d_step { CAN_TAKE(n, 3) -> take(n, 3) }
  :: d_step { LINKED(n) && key[n] != file[n] + 1 && MAY_SAY_ALIVE(n) -> key[n] = file[n] + 1 }

  /* Candidate: one transaction, if there is no master and conf is what I hold. */
#ifndef TAKE_THEN_READ
  :: d_step { LINKED(n) && mine[n] == 0 && term == 0 && key[n] != 0 && HOLDS_CONF(n) && !SUSPENDED(n, file[n]) ->
      take_key(n);
      begin_term(n)
    }
#else /* or it takes the key first and then looks: nobody else can publish any more */
  :: d_step { LINKED(n) && mine[n] == 0 && term == 0 && key[n] != 0 && !SUSPENDED(n, file[n]) ->
      take_key(n);
      taken[n] = term
    }
  /* Also again, when it had stopped by its clock and the lease lives on. */
  :: d_step { LINKED(n) && mine[n] == 0 && term != 0 && taken[n] == term && HOLDS_CONF(n) && !SUSPENDED(n, file[n]) ->
      begin_term(n)
    }
#endif
  /* Stops by its own clock while it can't renew, or learns that its mastership is over. */
  :: d_step { ALIVE(n) && mine[n] != 0 && (cut[n] || term != mine[n]) -> resign(n) }
  /* A key of its own that it does not act under: after the above, or from before a crash. */
#ifndef WITHOUT_REMOVING_OWN_KEY
  :: d_step { LINKED(n) && mine[n] == 0 && term != 0 && owner == n && WILL_NOT_ACT(n) -> term = 0; owner = 0 }
#endif
  :: d_step { LINKED(n) && mine[n] != 0 && (handovers > 0 || (SUSPENDED(n, file[n]) && at[n] == IDLE)) ->
      if
      :: SUSPENDED(n, file[n]) && at[n] == IDLE
#ifdef SHOW_SUSPENDED_MASTER_RESIGNS
        -> assert(Shown)
#endif
      :: else -> handovers--
      fi;
      if
      :: term == mine[n] -> term = 0; owner = 0
      :: else
      fi;
      resign(n)
    }

  :: d_step { TO_DO(n, 1) -> end_job(n, 1) }
  :: d_step { TO_DO(n, 2) -> end_job(n, 2) }
  :: d_step { TO_DO(n, 3) -> end_job(n, 3) }
  :: d_step { OWN_TO_DO(n, 1) -> end_job(n, 1) }
  :: d_step { OWN_TO_DO(n, 2) -> end_job(n, 2) }
  :: d_step { OWN_TO_DO(n, 3) -> end_job(n, 3) }

  /* Master: takes a job, builds its text, gives it a number, puts its record. */
  :: d_step { LINKED(n) && mine[n] != 0 && at[n] == IDLE && (jobs + 1 < JOBS || (calm && jobs < JOBS)) ->
      if
      :: !RECORD_ALLOWED(n) -> resign(n)
      :: else ->
        jobs++;
        job[n] = jobs;
        if
        :: high[n] < number[file[n]] -> high[n] = number[file[n]]
        :: else
        fi;
#ifndef WITHOUT_NEW_NUMBER
        high[n]++;
#endif
        number[jobs] = high[n];
        ancestors[jobs] = ancestors[file[n]] | SET(jobs);
        base[jobs] = put_at[file[n]];
        by[jobs] = n;
        by_term[jobs] = mine[n];
        recorded = recorded | SET(jobs);
#ifdef WITHOUT_FRESH_VIEW
        for (some_node : 0 .. NODES - 1) {
          if
          :: key[some_node] != 0 -> seen[jobs] = seen[jobs] | SET(some_node)
          :: else
          fi
        }
#endif
        at[n] = CHECKED;
#ifdef WITHOUT_PUT_BEFORE_ANSWER
        tell_committed(jobs)
#endif
      fi
    }
  /* Whatever has happened since the check: sent. */
  :: d_step { LINKED(n) && at[n] == CHECKED -> copies[job[n]]++; at[n] = WAITING }
  :: d_step { ALIVE(n) && at[n] == CHECKED && mine[n] != by_term[job[n]] -> tell_interrupted(job[n]); done(n) }
  :: d_step { LINKED(n) && at[n] == WAITING && answer[job[n]] == YES -> answer[job[n]] = 0; at[n] = PUBLISHED }
  :: d_step { LINKED(n) && at[n] == WAITING && answer[job[n]] == NO ->
      answer[job[n]] = 0; tell_interrupted(job[n]); done(n)
    }
  /* The answer does not come. */
  :: d_step { ALIVE(n) && at[n] == WAITING && (cut[n] || losses > 0 || (copies[job[n]] == 0 && answer[job[n]] == 0)) ->
      if
      :: cut[n] || (copies[job[n]] == 0 && answer[job[n]] == 0)
      :: else -> losses--
      fi;
      answer[job[n]] = 0;
      at[n] = UNKNOWN
    }
  /* Reads conf, the history and the master's key at once. */
  :: d_step { LINKED(n) && at[n] == UNKNOWN && IN_HISTORY(job[n]) -> at[n] = PUBLISHED }
  :: d_step { LINKED(n) && at[n] == UNKNOWN && !IN_HISTORY(job[n]) && CERTAIN(job[n]) ->
      tell_interrupted(job[n]); done(n)
    }
  /* Nothing has changed, the first copy may still be on its way. Either the text in force is put once more, so
   * that the position moves and the copy fails for certain; */
  :: d_step { LINKED(n) && at[n] == UNKNOWN && !IN_HISTORY(job[n]) && BASE_UNCHANGED(job[n]) &&
      STILL_MASTER(job[n]) && mine[n] == term ->
      position++; put_at[conf] = position; tell_interrupted(job[n]); done(n)
    }
  /* or the same is sent again. */
  :: d_step { LINKED(n) && at[n] == UNKNOWN && !IN_HISTORY(job[n]) && BASE_UNCHANGED(job[n]) &&
      STILL_MASTER(job[n]) && mine[n] == term && copies[job[n]] < 2 ->
      copies[job[n]]++; at[n] = WAITING
    }
  :: d_step { ALIVE(n) && at[n] == PUBLISHED ->
      if
      :: number[job[n]] > number[file[n]] -> take(n, job[n])
      :: else
      fi;
      at[n] = SPREADING
    }
  :: d_step { LINKED(n) && at[n] == SPREADING && LIVE_NODES_HOLD(job[n]) -> at[n] = TELLING }
  :: d_step { ALIVE(n) && at[n] == TELLING -> tell_committed(job[n]); done(n) }

  /* Faults, and their end. */
  :: d_step { state[n] != DOWN && crashes > 0 -> crashes--; state[n] = DOWN;
      at[n] = IDLE; job[n] = 0; mine[n] = 0; excused[n] = false; todo[n] = 0; high[n] = 0;
      FORGET_KEY(n)
    }
  :: d_step { state[n] == DOWN -> state[n] = UP; high[n] = number[file[n]] }
  :: d_step { ALIVE(n) && pauses > 0 -> pauses--; state[n] = STOPPED; excused[n] = (mine[n] != 0) }
  :: d_step { state[n] == STOPPED -> state[n] = UP }
  :: d_step { !cut[n] && cuts > 0 -> cuts--; cut[n] = true }
  :: d_step { cut[n] -> cut[n] = false }
  od
}

/* The lease of node n ends, some time after it could not renew it; the keys that hang on it go with it. */
#define CAN_END(n)                                                                                            \
  ((key[n] != 0 || (term != 0 && owner == n)) &&                                                              \
   (state[n] != UP || (cut[n] && (STOPS_IN_TIME(n) || clocks > 0))))
proctype Lease(byte n) {
end:
  do
  :: d_step { CAN_END(n) ->
      if
      :: state[n] == UP && !STOPS_IN_TIME(n) -> clocks--; excused[n] = true
      :: else
      fi;
      key[n] = 0;
      if
      :: term != 0 && owner == n -> term = 0; owner = 0
      :: else
      fi;
#ifdef WITHOUT_TERM_OF_KEY
      for (some_text : 1 .. JOBS) {
        if
        :: by[some_text] == n -> ended_by_lease = ended_by_lease | SET(some_text)
        :: else
        fi
      }
#endif
    }
  od
}

/* The transaction of job j under way: arrives late, twice, or never; its sender may be dead by then. */
#ifdef WITHOUT_HISTORY_IN_REFUSAL /* refused: not published */
#define WHEN_REFUSED(j) NO
#else
#define WHEN_REFUSED(j) (IN(published, j) -> YES : NO)
#endif
#define SENDER_WAITS(j) (state[by[j]] != DOWN && at[by[j]] == WAITING && job[by[j]] == j)
proctype Wire(byte j) {
end:
  do
  :: d_step { copies[j] > 0 ->
      if
      :: BASE_UNCHANGED(j) && STILL_MASTER(j) -> publish(j); result = YES
      :: else -> result = WHEN_REFUSED(j);
#ifdef SHOW_STOPPED_MASTER_REFUSED /* it was stopped between its check and the put, and goes on */
        assert(Shown || !(excused[by[j]] && mine[by[j]] == by_term[j] && IN(told_interrupted, j)))
#endif
#ifdef SHOW_SECOND_COPY_REFUSED
        assert(Shown || !(SENDER_WAITS(j) && IN(published, j)))
#endif
      fi;
      copies[j]--;
      if
      :: SENDER_WAITS(j) && copies[j] == 0 -> answer[j] = result
      :: else
      fi
    }
  :: d_step { copies[j] > 0 && !SENDER_WAITS(j) -> copies[j]-- }
  od
}

proctype Weather() {
  d_step { calm = true; crashes = 0; pauses = 0; cuts = 0; losses = 0; clocks = 0; handovers = 0 }
}

/* Nothing can happen any more. */
proctype Observer() {
  timeout ->
  d_step {
    assert(Calm_all_jobs_ended || (jobs == JOBS && (told_committed | told_interrupted) == recorded));
    assert(Calm_last_job_is_committed || (IN(told_committed, JOBS) && conf == JOBS));
    for (some_node : 0 .. NODES - 1) {
      assert(Calm_all_nodes_equal || (ALIVE(some_node) && file[some_node] == conf && key[some_node] == conf + 1));
    }
  }
}

init {
  /* A quiet start is behind us: all hold text 0 and live, node 0 has the best Affinity. */
  d_step {
    ancestors[0] = SET(0);
    for (some_node : 0 .. NODES - 1) {
      key[some_node] = 1
    }
    last_term = 1;
    term = 1;
    owner = 0;
    mine[0] = 1;
#ifdef TAKE_THEN_READ
    taken[0] = 1
#endif
  }
  atomic {
    run Node(0); run Node(1); run Node(2);
    run Lease(0); run Lease(1); run Lease(2);
    run Wire(1); run Wire(2);
#if JOBS > 2
    run Wire(3);
#endif
    run Weather();
    run Observer()
  }
}
