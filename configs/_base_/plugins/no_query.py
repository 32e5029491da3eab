# Without text, the clips themselves are the queries.
model = dict(query_gen=dict(_delete_=True, type="QueryGenerator", p=0))
