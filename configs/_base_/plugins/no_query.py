# No text: clips are their own queries.
model = dict(query_gen=dict(_delete_=True, type="QueryGenerator", p=0))
